//! An answer that is read while it is generated, over the death of the worker that wrote it.

use std::{process::Stdio, time::Duration};

use chaos_provider::{Answer, Behaviour, Reply, Rule, Script, Text};
use serde_json::Value;
use testkit::{Rig, Settings, prompt};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::ChildStdout,
    time::timeout,
};
use workflow_types::proto::{LlmPipelineInput, StreamSpec, llm_pipeline_output};

const PATIENCE: Duration = Duration::from_mins(2);

/// An answer that takes some seconds to tell, with white space at its ends and characters of several bytes.
fn told(name: &str) -> (String, Rule) {
    let word = |number| format!("{name}{number}ü ");
    let words: String = (0..40).map(word).collect();
    let text = format!(" \n{words}\u{1f642} \n");
    let answer = Answer {
        text: Text::Fixed(text.clone()),
        token_delay_ms: 100,
        ..Answer::default()
    };
    (
        text.trim().to_owned(),
        Rule::once(Reply::new(Behaviour::Answer(answer))),
    )
}

/// A follower's output, event by event.
struct Followed(Lines<BufReader<ChildStdout>>);

impl Followed {
    async fn next(&mut self) -> Option<Value> {
        let line = timeout(PATIENCE, self.0.next_line())
            .await
            .expect("the follower says something");
        line.unwrap().map(|line| serde_json::from_str(&line).unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_sees_one_reset_when_the_worker_dies_and_ends_with_the_very_answer() {
    let ((_, first), (second, again)) = (told("first"), told("second"));
    let rig = Rig::start(Script::new([first, again])).await.unwrap();
    let settings = Settings {
        local_model: false,
        ..Settings::default()
    };
    let mut worker = rig.ai_worker_with(&settings).await.unwrap();
    let input = LlmPipelineInput {
        stream: Some(StreamSpec {
            flush_milliseconds: Some(100),
        }),
        ..prompt("streamed")
    };
    let run = rig.run("streamed", input).await.unwrap();
    let mut command = rig
        .ctl_command(&["follow", "streamed", "--output", "json"])
        .unwrap();
    let mut follower = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut events = Followed(BufReader::new(follower.stdout.take().unwrap()).lines());

    let mut text = String::new();
    while text.len() < 40 {
        let event = events.next().await.unwrap();
        assert_eq!(event["event"], "text", "{event}");
        text.push_str(event["text"].as_str().unwrap());
    }
    assert!(
        rig.provider.requests()[0].ending.is_none(),
        "the answer is still being told"
    );
    assert!(text.starts_with("first0ü first1ü "), "{text}");
    worker.kill().unwrap();
    let _next = rig.ai_worker_with(&settings).await.unwrap();

    let (mut resets, mut end) = (0, None);
    while let Some(event) = events.next().await {
        match event["event"].as_str().unwrap() {
            "text" => text.push_str(event["text"].as_str().unwrap()),
            "reset" => {
                resets += 1;
                text.clear();
            }
            _ => end = Some(event),
        }
    }
    assert!(follower.wait().await.unwrap().success());
    assert_eq!((resets, text.as_str()), (1, second.as_str()));
    assert_eq!(end.unwrap()["bytes"], second.len());
    let output = run.result().await.unwrap();
    assert_eq!(output.answer, Some(llm_pipeline_output::Answer::Text(second)));
    rig.audit().await.unwrap();
}
