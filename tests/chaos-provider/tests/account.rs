//! The account in a file: durable before the answer, continued after a restart, readable after a kill.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use chaos_provider::{
    Behaviour, Cut, Error, Options, Outcome, Point, Provider, Reply, Rule, Script, read_log, total,
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

/// Starts the program with these files, and gives its address.
async fn server(files: &[(&str, &Path)]) -> (Child, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chaos-server"));
    for (flag, path) in files {
        command.arg(flag).arg(path);
    }
    let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .await
        .unwrap();
    (child, address_in(&line))
}

fn address_in(line: &str) -> String {
    let address = line.trim().strip_prefix("http://").unwrap();
    address.strip_suffix("/v1").unwrap().to_owned()
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

    let (mut child, address) = server(&[("--log", &log), ("--script", &script)]).await;
    let mut stream = ask(&address).await;
    // The head comes only after the call is durable.
    assert_eq!(stream.read_u8().await.unwrap(), b'H');
    child.kill().await.unwrap();
    let records = read_log(&log).unwrap();
    assert_eq!(
        (records.len(), records[0].reply.as_str(), &records[0].ending),
        (1, "cut", &None)
    );

    let (_child, address) = server(&[("--log", &log)]).await;
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

#[tokio::test]
async fn chances_above_a_hundred_per_cent_are_refused() {
    let script = Script::campaign([(60.0, Reply::default()), (50.0, Reply::default())]);
    let error = Provider::start(Options {
        script,
        ..Options::default()
    })
    .await
    .unwrap_err();
    assert!(matches!(error, Error::Chance { place: 1 }), "{error}");
}

#[tokio::test]
async fn the_program_prints_its_seed_and_repeats_it() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script.json");
    let campaign = r#"{"chances": [{"percent": 50, "reply": {"behaviour": {"kind": "overloaded"}}}]}"#;
    std::fs::write(&script, campaign).unwrap();
    let mut fates = Vec::new();
    let mut seed: Option<String> = None;
    for _ in 0..2 {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chaos-server"));
        command.arg("--script").arg(&script);
        if let Some(seed) = &seed {
            command.args(["--seed", seed]);
        }
        let piped = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = piped.spawn().unwrap();
        let (mut printed, mut said) = (String::new(), String::new());
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        stderr.read_line(&mut said).await.unwrap();
        stdout.read_line(&mut printed).await.unwrap();
        seed = said.trim().strip_prefix("seed ").map(str::to_owned);
        let address = address_in(&printed);
        let mut fate = Vec::new();
        for _ in 0..16 {
            fate.push(ask_and_read(&address).await.starts_with("HTTP/1.1 529"));
        }
        fates.push(fate);
    }
    assert_eq!(fates[0], fates[1]);
    assert!(fates[0].contains(&true) && fates[0].contains(&false), "{fates:?}");
}

/// Makes the same call three times, of which a limit refuses the last, and kills the provider.
async fn log_of_three_calls(folder: &Path) -> PathBuf {
    let [log, prices, limits] = ["calls.jsonl", "prices.json", "limits.json"].map(|name| folder.join(name));
    let price = r#"[{"input_micros_per_million": 1000000, "output_micros_per_million": 2000000}]"#;
    std::fs::write(&prices, price).unwrap();
    std::fs::write(&limits, r#"[{"requests_per_minute": 2}]"#).unwrap();
    let (mut child, address) = server(&[("--log", &log), ("--prices", &prices), ("--limits", &limits)]).await;
    for _ in 0..3 {
        ask_and_read(&address).await;
    }
    // The last line is written after the client has its answer.
    while total(&read_log(&log).unwrap()).open > 0 {
        tokio::task::yield_now().await;
    }
    child.kill().await.unwrap();
    log
}

async fn bill(log: &Path, more: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chaos-server"));
    let done = command.arg("bill").arg(log).args(more).output().await.unwrap();
    String::from_utf8(done.stdout).unwrap()
}

#[tokio::test]
async fn the_bill_of_a_log_is_printed_as_a_table_and_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let log = log_of_three_calls(folder.path()).await;
    let json = bill(&log, &["--by", "request", "--json"]).await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["by"], "request");
    assert_eq!(json["rows"].as_array().unwrap().len(), 1);
    // Three tokens in and three out, twice.
    for sum in [&json["total"], &json["rows"][0]] {
        let of = |name: &str| sum[name].as_u64().unwrap();
        assert_eq!((of("calls"), of("answered"), of("refused")), (3, 2, 1));
        assert_eq!(
            (of("prompt_tokens"), of("completion_tokens"), of("cost_micros")),
            (6, 6, 18)
        );
    }
    let table = bill(&log, &[]).await;
    assert!(table.lines().last().unwrap().starts_with("total"), "{table}");
    assert!(table.contains("0.000018"), "{table}");
}

#[tokio::test]
async fn many_calls_at_once_are_all_durable_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("calls.jsonl");
    let provider = Provider::start(Options {
        log: Some(log.clone()),
        ..Options::default()
    })
    .await
    .unwrap();
    let address = provider.address().to_string();
    let clients: Vec<_> = (0..32)
        .map(|_| {
            let address = address.clone();
            tokio::spawn(async move {
                for _ in 0..8 {
                    assert!(ask_and_read(&address).await.contains("summary of "));
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    let held = provider.wait_ended(256).await;
    provider.stop().await;
    let records = read_log(&log).unwrap();
    assert_eq!(records, held);
    assert!(records.iter().map(|record| record.seq).eq(1..=256));
}
