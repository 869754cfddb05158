//! A cluster that lets in whoever has its API key, as Temporal Cloud does.

use std::{collections::BTreeMap, fs, time::Duration};

use testkit::Terms;

use crate::secured::{BAD_SETTING, Site, UNAVAILABLE, Variables};

const OLD: &str = "key-of-yesterday-5f0c";
const NEW: &str = "key-of-today-91be";

/// Far more than the second after which a worker looks at its key file again.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(20);

fn with_key(mut variables: Variables, key: &str) -> Variables {
    variables.insert("TEMPORAL_API_KEY", key.to_owned());
    variables
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_lets_a_run_through_and_is_replaced_while_the_worker_runs() {
    let site = Site::start().await;
    let terms = Terms {
        api_key: Some(OLD),
        ..Terms::default()
    };
    let front = site.front(&terms).await;
    let trust = site.variables(&front);
    let file = site.stack.write("api-key", &format!("{OLD}\n"));
    let mut with_file = trust.clone();
    with_file.insert("AI_WORKER__TEMPORAL__API_KEY_FILE", file.clone());
    with_file.insert("AI_WORKER__TEMPORAL__API_KEY_REFRESH_SECONDS", "1".to_owned());
    with_file.insert("AI_WORKER__HEALTH__CHECK_INTERVAL_SECONDS", "1".to_owned());
    with_file.insert("AI_WORKER__TELEMETRY__LOG_FILTER", "trace".to_owned());
    let ai = site.worker("ai-worker", "ai.log", &with_file);
    {
        let mut old = with_key(trust.clone(), OLD);
        old.insert("DATA_WORKER__TELEMETRY__LOG_FILTER", "trace".to_owned());
        let data = site.worker("data-worker", "data.log", &old);
        site.run(&old, "before", "data-worker").await;
        assert!(!data.log().unwrap().contains(OLD));
    }

    // The hard way round: the old key is void before the new one is there.
    front.replace_key(NEW);
    front
        .saw(TAKEN_UP_WITHIN, "the old key is refused", |call| !call.passed)
        .await
        .unwrap();
    let fresh = site.stack.write("api-key.fresh", NEW);
    fs::rename(fresh, &file).unwrap();
    front
        .saw(TAKEN_UP_WITHIN, "the new key is used", |call| {
            call.key.as_deref() == Some(NEW)
        })
        .await
        .unwrap();
    site.run(&with_key(trust, NEW), "after", "ai-worker").await;

    let log = ai.log().unwrap();
    assert!(log.contains("the API key was replaced from its file"), "{log}");
    assert!(log.contains("DEBUG"), "the most is logged");
    for key in [OLD, NEW] {
        let line = log.lines().find(|line| line.contains(key));
        assert_eq!(line, None, "a key is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_key_every_program_ends_at_once_and_says_what_to_do() {
    let site = Site::start().await;
    let terms = Terms {
        api_key: Some(NEW),
        ..Terms::default()
    };
    let front = site.front(&terms).await;
    let trust = site.variables(&front);
    let cases = [
        (
            "wrong",
            with_key(trust.clone(), OLD),
            "Request unauthorized (Unauthenticated); check",
        ),
        (
            "none",
            trust,
            "the server wants to know who asks: set TEMPORAL_API_KEY",
        ),
    ];
    for (name, variables, advice) in cases {
        for said in site.all_end(name, &variables, UNAVAILABLE).await {
            assert!(said.contains(advice), "{name}: {said}");
            assert!(
                !said.contains("trying again") && !said.contains(OLD),
                "{name}: {said}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_switches_tls_on_and_never_crosses_in_plain_text_by_mistake() {
    let site = Site::start().await;
    let address = &site.stack.address;
    let plain = BTreeMap::from([("TEMPORAL_ADDRESS", address.clone())]);
    for said in site.all_end("plain", &with_key(plain, OLD), UNAVAILABLE).await {
        assert!(
            said.contains("the server speaks plain text while TLS is on: set TEMPORAL_TLS=false"),
            "{said}"
        );
    }
    let scheme = BTreeMap::from([("TEMPORAL_ADDRESS", format!("http://{address}"))]);
    for said in site.all_end("scheme", &with_key(scheme, OLD), BAD_SETTING).await {
        assert!(said.contains("begins with `http://`, but the API key"), "{said}");
    }

    // The word that allows it is explicit, and the worker says what it means.
    let mut allowed = BTreeMap::from([("TEMPORAL_ADDRESS", address.clone())]);
    allowed.insert("TEMPORAL_TLS", "false".to_owned());
    let allowed = with_key(allowed, OLD);
    assert_eq!(site.ctl(&allowed, &["list"]).await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_configuration_has_no_key_in_it() {
    let site = Site::start().await;
    let file = site.stack.write("api-key", NEW);
    let by_variable = with_key(Variables::new(), OLD);
    let by_file = Variables::from([("AI_WORKER__TEMPORAL__API_KEY_FILE", file.clone())]);
    for (name, variables) in [("variable", by_variable), ("file", by_file)] {
        let mut worker = site.worker_with("ai-worker", name, &variables, &["--print-config"]);
        let status = worker.exit(TAKEN_UP_WITHIN).await.unwrap();
        let printed = worker.log().unwrap();
        assert!(status.success(), "{printed}");
        assert!(!printed.contains(OLD) && !printed.contains(NEW), "{printed}");
        assert_eq!(printed.contains(&file), name == "file", "{printed}");
    }
}
