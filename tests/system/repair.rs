//! Answers that are not what was asked for: what is sent back, and what is not.

use chaos_provider::{Answer, Behaviour, Finish, Options, Provider, Reply, Rule, Script, Text};
use serde_json::{Value, json};

use crate::stack::{SCRIPTED, Stack};

async fn ask(script: Script) -> (Value, Provider) {
    let options = Options {
        script,
        ..Options::default()
    };
    let provider = Provider::start(options).await.unwrap();
    let stack = Stack::scripted(&provider);
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
    let file = stack.write("answer.schema.json", &schema.to_string());
    let output = stack
        .ctl_json(&["llm", "run", "One.", "--model", SCRIPTED, "--schema", &file])
        .await;
    (output, provider)
}

fn cut_off(text: &str) -> Reply {
    Reply::new(Behaviour::Answer(Answer {
        text: Text::Fixed(text.into()),
        finish: Finish::Length,
        ..Answer::default()
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_match_is_sent_back_once() {
    let (output, provider) = ask(Script::new([
        Rule::once(Reply::text(r#"{"n": "one"}"#)),
        Rule::once(Reply::text(r#"{"n": 1}"#)),
    ]))
    .await;
    assert_eq!(output["outcome"], "OUTCOME_COMPLETED", "{output}");
    assert_eq!(output["json"]["n"].as_f64(), Some(1.0), "{output}");
    assert_eq!(output["repairs"], 1);
    assert_eq!(output["usage"]["calls"], 2);
    let calls = provider.requests();
    assert_eq!(calls.len(), 2);
    assert!(
        calls[1].prompt_tokens > calls[0].prompt_tokens,
        "the repair shows what was wrong"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_never_matches_comes_back_with_its_problems() {
    let (output, provider) = ask(Script::new([Rule::always(Reply::text(r#"{"n": "one"}"#))])).await;
    assert_eq!(output["outcome"], "OUTCOME_SCHEMA_MISMATCH", "{output}");
    let answer: Value = serde_json::from_str(output["text"].as_str().unwrap()).unwrap();
    assert_eq!(answer, json!({"n": "one"}), "the last answer as text");
    assert_eq!(output["problems"][0]["path"], "/n");
    assert_eq!(provider.requests().len(), 2, "once, and one repair");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_answer_is_never_sent_back() {
    let (output, provider) = ask(Script::new([Rule::always(cut_off(r#"{"n": "#))])).await;
    assert_eq!(output["outcome"], "OUTCOME_TRUNCATED", "{output}");
    assert_eq!(output["repairs"], Value::Null);
    assert_eq!(provider.requests().len(), 1, "it would be paid for twice");
}
