//! A service with the Anthropic protocol, from the request to the bill.

use chaos_provider::{Answer, Behaviour, Protocol, Reply, RetryAfter, Rule, Script, When};
use testkit::{CLAUDE, Rig, Settings, prompt};
use workflow_types::{
    json,
    proto::{JsonFormat, LlmPipelineInput, OutputSpec, StreamSpec, llm_pipeline_output, output_spec::Format},
};

fn claude(words: &str) -> LlmPipelineInput {
    LlmPipelineInput {
        model: Some(CLAUDE.to_owned()),
        system: Some("Be brief.".to_owned()),
        ..prompt(words)
    }
}

fn script() -> Script {
    let busy = Behaviour::Overloaded {
        retry_after: RetryAfter::Seconds(1),
    };
    let cached = Behaviour::Answer(Answer {
        cached_tokens: Some(4),
        cache_write_tokens: Some(2),
        ..Answer::default()
    });
    let named = |id: &str| When::prompt_contains(format!("<{id}>"));
    Script::new([
        Rule::once(Reply::new(busy)).when(named("busy")),
        Rule::always(Reply::new(cached)).when(named("cached")),
    ])
}

fn formed() -> LlmPipelineInput {
    let schema =
        serde_json::json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
    let form = JsonFormat {
        schema: Some(json::to_struct(schema.as_object().unwrap())),
        max_repairs: Some(0),
    };
    LlmPipelineInput {
        output: Some(OutputSpec {
            format: Some(Format::Json(form)),
            ..OutputSpec::default()
        }),
        ..claude("formed")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_json_streams_refusals_and_cached_tokens_come_out_as_with_any_provider() {
    let rig = Rig::start(script()).await.unwrap();
    let settings = Settings {
        local_model: false,
        ..Settings::default()
    };
    let _worker = rig.ai_worker_with(&settings).await.unwrap();
    let streamed = LlmPipelineInput {
        stream: Some(StreamSpec::default()),
        ..claude("streamed")
    };
    let inputs = [
        ("plain", claude("plain"), (0, 0)),
        ("busy", claude("busy"), (0, 0)),
        ("cached", claude("cached"), (4, 2)),
        ("streamed", streamed, (0, 0)),
        ("formed", formed(), (0, 0)),
    ];
    for (id, input, cache) in inputs {
        let output = rig.run(id, input).await.unwrap().result().await.unwrap();
        let served = output.served_by.unwrap();
        let served = (served.provider.as_str(), served.model.as_str());
        assert_eq!(served, ("claude", "echo"), "{id}");
        let usage = output.usage.unwrap();
        let used = (usage.cached_input_tokens, usage.cache_write_input_tokens);
        assert_eq!(used, cache, "{id}: {usage:?}");
        let whole = match &output.answer {
            Some(llm_pipeline_output::Answer::Text(text)) => text.starts_with("summary of "),
            Some(llm_pipeline_output::Answer::Json(_)) => id == "formed",
            Some(llm_pipeline_output::Answer::Blob(_)) | None => false,
        };
        assert!(whole, "{id}: {:?}", output.answer);
    }
    let calls = rig.calls().unwrap();
    assert_eq!(calls.len(), 6, "{calls:#?}");
    let all = calls.iter().all(|call| call.protocol == Protocol::Anthropic);
    assert!(all, "{calls:#?}");
    rig.audit().await.unwrap();
}
