//! Deadlines of hours in seconds, on Temporal's test server, whose clock jumps to the next timer when nothing runs.
//!
//! Its worker is the real one; that there is none for documents is what the run has to get over.

use std::{collections::HashMap, net::TcpListener, path::Path, process::Command, time::Duration};

use serde_json::json;
use temporal_client::{Client, connection, outcome, start};
use temporalio_client::tonic::Request;
use temporalio_common::protos::temporal::api::{
    enums::v1::IndexedValueType, operatorservice::v1::AddSearchAttributesRequest,
    testservice::v1::UnlockTimeSkippingRequest,
};
use testkit::{Process, within};
use workflow_types::{
    failure::FailureCode, names::search_attribute, proto::Stage, wire::parse_json_strictly,
};

use crate::stack::{program, temporal_variables, variable};

const PATIENCE: Duration = Duration::from_secs(60);

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

async fn server(folder: &Path) -> (Process, Client) {
    let port = free_port();
    let mut command = Command::new(variable("TAW_TEST_SERVER_BIN"));
    command.arg(port.to_string());
    let server = Process::start("the test server", command, &folder.join("server.log")).unwrap();
    let options = connection::Options {
        address: Some(format!("127.0.0.1:{port}")),
        ..connection::Options::default()
    };
    let profile = HashMap::from([("TEMPORAL_CONFIG_FILE".to_owned(), "/dev/null".to_owned())]);
    let mut client = None;
    within(PATIENCE, "the test server answers", async || {
        client = Client::connect(&options, &profile).await.ok();
        Ok(client.is_some())
    })
    .await
    .unwrap();
    (server, client.unwrap())
}

/// The test server can't list attributes, so what asks first which are missing can't be used.
async fn describe_attributes(client: &Client) {
    let keyword = [
        search_attribute::PIPELINE,
        search_attribute::TENANT,
        search_attribute::MODEL,
        search_attribute::STAGE,
    ];
    let keyword = keyword.map(|name| (name.to_owned(), IndexedValueType::Keyword.into()));
    let request = AddSearchAttributesRequest {
        search_attributes: HashMap::from(keyword),
        namespace: client.namespace().to_owned(),
    };
    let mut service = client.sdk().connection().operator_service();
    service
        .add_search_attributes(Request::new(request))
        .await
        .unwrap();
}

fn ai_worker(folder: &Path, address: &str) -> Process {
    let mut command = Command::new(program("ai-worker"));
    for name in temporal_variables() {
        command.env_remove(name);
    }
    command
        .env("CANDLE_NUM_THREADS", "1")
        .env("TEMPORAL_CONFIG_FILE", "/dev/null")
        .env("TEMPORAL_ADDRESS", address)
        .arg("--set")
        .arg(format!("blob_store.url=file://{}/blobs/", folder.display()))
        .arg("--set")
        .arg(format!("journal.url=sqlite://{}/journal.db", folder.display()));
    Process::start("ai-worker", command, &folder.join("ai-worker.log")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_no_worker_prepares_fails_at_its_deadline_also_when_none_cleans_up() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, client) = server(folder.path()).await;
    describe_attributes(&client).await;
    let _worker = ai_worker(folder.path(), client.address());
    let input = json!({
        "content": {"text": "Words."},
        "placement": "PLACEMENT_DATA_WORKER",
        "deadlineSeconds": 7200
    });
    let input = parse_json_strictly(input.to_string().as_bytes()).unwrap();
    let options = start::Options {
        workflow_id: Some("late".into()),
        ..start::Options::default()
    };
    let run = client.start_llm_pipeline(input, &options).await.unwrap();
    within(PATIENCE, "the run waits for its text", async || {
        let status = run.status().await;
        Ok(status.is_ok_and(|status| status.stage() == Stage::Validating))
    })
    .await
    .unwrap();
    let request = Request::new(UnlockTimeSkippingRequest {});
    let service = client.sdk().connection().test_service();
    service.clone().unlock_time_skipping(request).await.unwrap();

    let Err(outcome::Error::Failed(failed)) = run.result().await else {
        panic!("the run did not fail by itself");
    };
    assert_eq!(failed.code, Some(FailureCode::DeadlineExceeded), "{failed}");
    assert!(failed.message.contains("7200 s"), "{failed}");
}
