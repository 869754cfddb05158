//! The account in a file: durable before the answer, continued after a restart, readable after a kill.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use chaos_provider::{
    Behaviour, Cut, Error, Options, Outcome, Point, Provider, Reply, Rule, Script, read_log,
};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

const BODY: &str = r#"{"model":"m","messages":[{"role":"user","content":"a secret prompt"}]}"#;

async fn ask(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = BODY.len();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nconnection: close\r\n";
    stream
        .write_all(format!("{head}content-length: {length}\r\n\r\n{BODY}").as_bytes())
        .await
        .unwrap();
    stream
}

async fn ask_and_read(address: &str) -> String {
    let mut answer = String::new();
    ask(address).await.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn server(log: &Path, script: Option<&Path>) -> (Child, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chaos-server"));
    command
        .arg("--log")
        .arg(log)
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    if let Some(script) = script {
        command.arg("--script").arg(script);
    }
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .await
        .unwrap();
    let address = line
        .trim()
        .strip_prefix("http://")
        .unwrap()
        .strip_suffix("/v1")
        .unwrap()
        .to_owned();
    (child, address)
}

#[tokio::test]
async fn a_restarted_provider_goes_on_counting_in_the_same_log() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("calls.jsonl");
    for _ in 0..2 {
        let provider = Provider::start(Options {
            log: Some(log.clone()),
            ..Options::default()
        })
        .await
        .unwrap();
        ask_and_read(&provider.address().to_string()).await;
        let held = provider.requests().len();
        provider.wait_ended(held).await;
        provider.stop().await;
    }
    let records = read_log(&log).unwrap();
    assert_eq!(
        records.iter().map(|record| record.seq).collect::<Vec<_>>(),
        [1, 2]
    );
    assert!(
        records
            .iter()
            .all(|record| record.ending.as_ref().unwrap().outcome == Outcome::Sent)
    );
    assert!(!std::fs::read_to_string(&log).unwrap().contains("secret"));
}

#[tokio::test]
async fn a_line_that_a_kill_tore_is_dropped_and_the_next_one_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("calls.jsonl");
    let options = || Options {
        log: Some(log.clone()),
        ..Options::default()
    };
    let provider = Provider::start(options()).await.unwrap();
    ask_and_read(&provider.address().to_string()).await;
    provider.wait_ended(1).await;
    provider.stop().await;
    let mut file = std::fs::OpenOptions::new().append(true).open(&log).unwrap();
    file.write_all(b"{\"event\":\"received\",\"se").unwrap();

    let provider = Provider::start(options()).await.unwrap();
    ask_and_read(&provider.address().to_string()).await;
    provider.wait_ended(2).await;
    assert_eq!(read_log(&log).unwrap(), provider.requests());
}

#[tokio::test]
async fn a_file_that_is_no_log_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("calls.jsonl");
    std::fs::write(&log, "{\"event\":\"other\"}\n").unwrap();
    let error = Provider::start(Options {
        log: Some(log),
        ..Options::default()
    })
    .await
    .unwrap_err();
    assert!(matches!(error, Error::LogLine { line: 1, .. }), "{error}");
}

#[tokio::test]
async fn a_taken_port_is_refused_and_a_stopped_provider_frees_its_port() {
    let first = Provider::start(Options::default()).await.unwrap();
    let port = first.address().port();
    let taken = Provider::start(Options {
        port,
        ..Options::default()
    })
    .await
    .unwrap_err();
    assert!(matches!(taken, Error::Listen { .. }), "{taken}");
    first.stop().await;
    let second = Provider::start(Options {
        port,
        ..Options::default()
    })
    .await
    .unwrap();
    assert!(
        ask_and_read(&second.address().to_string())
            .await
            .contains("summary of ")
    );
}

#[tokio::test]
async fn a_killed_server_leaves_the_call_that_it_had_not_answered() {
    let folder = tempfile::tempdir().unwrap();
    let (log, script) = (
        folder.path().join("calls.jsonl"),
        folder.path().join("script.json"),
    );
    let stall = Behaviour::Cut {
        after: Point::Head,
        how: Cut::Stall,
        token_delay_ms: 0,
    };
    let rules = Script::new([Rule::once(Reply::new(stall))]);
    std::fs::write(&script, serde_json::to_vec(&rules).unwrap()).unwrap();

    let (mut child, address) = server(&log, Some(&script)).await;
    let mut stream = ask(&address).await;
    // The head comes only after the call is durable.
    assert_eq!(stream.read_u8().await.unwrap(), b'H');
    child.kill().await.unwrap();
    let records = read_log(&log).unwrap();
    assert_eq!(
        (records.len(), records[0].reply.as_str(), &records[0].ending),
        (1, "cut", &None)
    );

    let (_child, address) = server(&log, None).await;
    assert!(ask_and_read(&address).await.contains("summary of "));
    assert_eq!(read_log(&log).unwrap()[1].seq, 2);
}

#[tokio::test]
async fn a_script_with_an_unknown_word_is_refused_by_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script.json");
    std::fs::write(
        &script,
        r#"{"rules": [{"reply": {"behavior": {"kind": "garbage"}}}]}"#,
    )
    .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_chaos-server"));
    let done = command
        .arg("--script")
        .arg(&script)
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(!done.status.success());
    assert!(
        said.contains("rules[0].reply") && said.contains("behavior"),
        "{said}"
    );
}
