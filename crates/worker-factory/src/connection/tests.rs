//! Connecting to nothing, and what the options refuse.

use std::{collections::HashMap, time::Duration};

use super::{Error, Options, Profile, connect};
use crate::config::Validate as _;

#[test]
fn a_timeout_of_zero_is_refused() {
    let options = Options {
        connect_timeout_seconds: 0,
        attempt_timeout_seconds: 0,
        ..Options::default()
    };
    let keys: Vec<String> = options
        .validate()
        .into_iter()
        .map(|problem| problem.key)
        .collect();
    assert_eq!(keys, ["connect_timeout_seconds", "attempt_timeout_seconds"]);
    assert!(Options::default().validate().is_empty());
}

#[tokio::test]
async fn without_a_server_the_error_says_how_to_start_one() {
    // A listener that is closed again leaves a port on which nothing answers.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let options = Options {
        connect_timeout_seconds: 1,
        ..Options::default()
    };
    let env = HashMap::from([
        ("TEMPORAL_ADDRESS".to_owned(), format!("127.0.0.1:{port}")),
        ("TEMPORAL_CONFIG_FILE".to_owned(), "/dev/null".to_owned()),
    ]);
    let profile = Profile::resolve(&options, &env).unwrap();
    let error = connect(&profile, &options, "pipelinectl dev").await.unwrap_err();
    assert!(
        matches!(&error, Error::Unreachable { waited, .. }
            if (Duration::from_secs(1)..Duration::from_secs(2)).contains(waited)),
        "{error}"
    );
    let text = error.to_string();
    assert!(
        text.contains(&format!("127.0.0.1:{port}")) && text.contains("`pipelinectl dev`"),
        "{text}"
    );
}
