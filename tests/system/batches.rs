//! A file of requests: order, failures item by item, pages, the window, and continue-as-new.

use chaos_provider::{Options, Provider, Reply, Rule, Script, When};
use serde_json::{Value, json};

use crate::stack::{Plan, SCRIPTED, Stack};

const INSTRUCTION: &str = "Give a title.";

/// A file with everything that a line can be: usable, broken, misspelt, by reference, too large to stay inline.
fn mixed(stack: &Stack) -> String {
    let document = stack.write("document.txt", "The text of a document.");
    let mut lines: Vec<String> = (0..7)
        .map(|number| json!({"id": format!("item-{number}"), "text": format!("Text {number}.")}).to_string())
        .collect();
    lines.insert(1, "{oops".to_owned());
    lines.insert(
        3,
        json!({"id": "misspelt", "text": "a", "instrucion": "b"}).to_string(),
    );
    lines.insert(4, String::new());
    lines.insert(
        5,
        json!({"id": "by-reference", "content": {"blob": {"uri": format!("file://{document}")}}}).to_string(),
    );
    lines.insert(
        8,
        json!({"id": "large", "text": "Many words. ".repeat(800)}).to_string(),
    );
    lines.push(json!({"text": "The last one has no id.", "parameters": {"temperature": 3}}).to_string());
    lines.push(json!({"text": "The last one has no id."}).to_string());
    stack.write("items.jsonl", &lines.join("\n"))
}

const IDS: [&str; 13] = [
    "item-0",
    "2",
    "item-1",
    "misspelt",
    "by-reference",
    "item-2",
    "item-3",
    "large",
    "item-4",
    "item-5",
    "item-6",
    "12",
    "13",
];

fn input(file: &str) -> String {
    let defaults = json!({"model": SCRIPTED, "instruction": INSTRUCTION, "tenant": "acme"});
    json!({"items": {"uri": format!("file://{file}")}, "window": 4, "pageItems": 5, "defaults": defaults})
        .to_string()
}

/// Reads the results of a batch through the command line.
async fn results(stack: &Stack, id: &str) -> Vec<Value> {
    let out = stack.folder().join(format!("{id}.jsonl"));
    let said = stack.ctl(&["result", id, "--out", out.to_str().unwrap()]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let text = std::fs::read_to_string(out).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn check(results: &[Value]) {
    let ids: Vec<&str> = results
        .iter()
        .map(|result| result["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, IDS);
    for (index, result) in results.iter().enumerate() {
        // Proto3 JSON leaves out what is zero.
        assert_eq!(result["index"].as_u64().unwrap_or(0), index as u64, "{result}");
        let problem = &result["error"]["problems"][0]["path"];
        match result["id"].as_str().unwrap() {
            "2" => assert_eq!(problem, "$", "{result}"),
            "misspelt" => assert_eq!(problem, "instrucion", "{result}"),
            "12" => assert_eq!(problem, "parameters.temperature", "{result}"),
            _ => {
                assert_eq!(result["outcome"], "OUTCOME_COMPLETED", "{result}");
                assert!(
                    result["text"].as_str().unwrap().starts_with("summary of "),
                    "{result}"
                );
                continue;
            }
        }
        assert_eq!(result["error"]["code"], "InvalidInput", "{result}");
        assert_eq!(result["outcome"], Value::Null, "{result}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_item_of_a_batch_has_its_line_in_order_and_a_bad_one_fails_alone() {
    let provider = Provider::start(Options::default()).await.unwrap();
    let stack = Stack::scripted(&provider);
    let file = mixed(&stack);
    stack
        .start_raw("LlmBatchWorkflow", "mixed", &["--input", &input(&file)])
        .await;
    let output = stack.ctl_json(&["result", "mixed"]).await;
    assert_eq!(
        output["counts"],
        json!({"completed": 10, "failed": 3}),
        "{output}"
    );
    assert_eq!(output["usage"]["calls"], 10);
    check(&results(&stack, "mixed").await);
    assert_eq!(provider.requests().len(), 10, "a bad line is never sent");

    let blobs = stack.blobs("mixed");
    assert_eq!(
        blobs
            .iter()
            .filter(|path| path.starts_with("results/parts/"))
            .count(),
        3,
        "{blobs:?}"
    );
    assert!(!blobs.iter().any(|path| path.starts_with("staged/")), "{blobs:?}");
    let listed = stack.ctl_json(&["list", "--children", "--tenant", "acme"]).await;
    let mut ids: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["id"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    assert_eq!(
        ids,
        ["mixed", "mixed/item/4", "mixed/item/7"],
        "large ones run as pipelines of their own"
    );
    let status = stack.ctl_json(&["status", "mixed"]).await["status"].clone();
    assert_eq!(
        (&status["itemsTotal"], &status["itemsDone"]),
        (&json!(13), &json!(13)),
        "{status}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_continues_as_new_with_the_same_results_under_the_same_first_run() {
    let provider = Provider::start(Options::default()).await.unwrap();
    let stack = Stack::start(&Plan {
        provider: Some(provider.base_url()),
        suggest_continue_as_new: Some(20),
        ..Plan::default()
    });
    let file = mixed(&stack);
    stack
        .start_raw("LlmBatchWorkflow", "long", &["--input", &input(&file)])
        .await;
    let output = stack.ctl_json(&["result", "long"]).await;
    assert_eq!(
        output["counts"],
        json!({"completed": 10, "failed": 3}),
        "{output}"
    );
    assert_eq!(output["usage"]["calls"], 10);
    check(&results(&stack, "long").await);
    assert_eq!(
        provider.requests().len(),
        10,
        "no run repeats what an earlier one did"
    );
    let started =
        &stack.events("long", None).await[0]["attributes"]["WorkflowExecutionStartedEventAttributes"];
    let first = started["first_execution_run_id"].as_str().unwrap();
    assert_ne!(started["continued_execution_run_id"], "", "{started}");
    assert_ne!(started["original_execution_run_id"], *first, "{started}");
    let folder = stack.folder().join(".dev/blobs/runs/long");
    let runs: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|run| run.unwrap().file_name())
        .collect();
    assert_eq!(runs, [first], "all runs stage in one place");
    let status = stack.ctl_json(&["status", "long"]).await["status"].clone();
    assert_eq!(status["itemsDone"], 13, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_keeps_its_window_and_when_cancelled_what_was_answered() {
    let script =
        Script::new([Rule::always(Reply::text("never").behind("never")).when(When::prompt_contains("held"))]);
    let options = Options {
        script,
        ..Options::default()
    };
    let provider = Provider::start(options).await.unwrap();
    let stack = Stack::scripted(&provider);
    let words = ["first", "second", "held", "held", "held", "held", "held", "held"];
    let lines: Vec<String> = words
        .iter()
        .map(|word| json!({"text": word}).to_string())
        .collect();
    let file = stack.write("items.jsonl", &lines.join("\n"));
    let run = [
        "llm", "run", "--jsonl", &file, "--window", "4", "--model", SCRIPTED, "--id", "window", "--detach",
    ];
    let said = stack.ctl(&run).await;
    assert_eq!((said.code, said.out.trim()), (Some(0), "window"), "{said:?}");
    let calls = provider.wait_for(6).await;
    assert_eq!(calls.len(), 6, "two that were answered and a full window");
    let status = stack.ctl_json(&["status", "window"]).await["status"].clone();
    assert_eq!(
        (&status["inFlight"], &status["itemsDone"]),
        (&json!(4), &json!(2)),
        "{status}"
    );

    stack.ctl_json(&["cancel", "window", "--reason", "enough"]).await;
    let said = stack.ctl(&["result", "window", "--output", "json"]).await;
    assert_eq!(said.code, Some(3), "{said:?}");
    let described = stack.ctl_json(&["describe", "window"]).await;
    assert_eq!(described["status"], "canceled");
    assert_eq!(
        provider.wait_ended(6).await.len(),
        6,
        "nothing was asked after the cancellation"
    );
    let blobs = stack.blobs("window");
    assert!(blobs.contains(&"results/results.jsonl".to_owned()), "{blobs:?}");
    let folder = stack.folder().join(".dev/blobs/runs/window");
    let first = std::fs::read_dir(folder)
        .unwrap()
        .find_map(|run| std::fs::read_to_string(run.unwrap().path().join("results/results.jsonl")).ok());
    let results: Vec<Value> = first
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let answered = results
        .iter()
        .filter(|result| result["outcome"] == "OUTCOME_COMPLETED")
        .count();
    assert_eq!(answered, 2, "{results:?}");
}
