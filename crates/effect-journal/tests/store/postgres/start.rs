//! Opening: who may, what is made, and what is told to those who may not.

use effect_journal::{Claim, Error, Journal, Options, Postgres, PostgresOptions, State};
use scratch_postgres::Server;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::{administrator, chain, open_in, options, serve};
use crate::behaviour::{key, request};

async fn refusal(options: &Options) -> Error {
    let opened = Postgres::open(options).await;
    opened.err().expect("the server must be refused")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_openers_of_a_new_schema_one_makes_it_and_all_share_it() {
    let server = serve();
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let options = options(&server, "journal");
        tasks.spawn(async move {
            let journal = Postgres::open(&options).await.unwrap();
            journal.claim(request(&key("call/0"))).await.unwrap()
        });
    }
    let claims = tasks.join_all().await;
    let granted = claims
        .iter()
        .filter(|claim| matches!(claim, Claim::Granted(_)))
        .count();
    let busy = claims
        .iter()
        .filter(|claim| matches!(claim, Claim::Busy { .. }))
        .count();
    assert_eq!((granted, busy), (1, 7));
}

#[tokio::test]
async fn a_newer_schema_is_left_alone() {
    let server = serve();
    let store = open_in(&server, "journal").await;
    store.granted(&key("call/0")).await;
    let client = administrator(&server, "journal").await;
    client
        .batch_execute("INSERT INTO schema_version (version) VALUES (99)")
        .await
        .unwrap();
    let error = refusal(&options(&server, "journal")).await;
    assert!(matches!(error, Error::NewerSchema { found: 99, .. }), "{error:?}");
    assert!(error.to_string().contains("schema version 99"), "{error}");
    let row = client
        .query_one("SELECT count(*) FROM schema_version", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 2);
}

#[tokio::test]
async fn a_worker_that_loses_its_connection_learns_of_a_newer_schema() {
    let server = serve();
    let store = open_in(&server, "journal").await;
    store.granted(&key("call/0")).await;
    let client = administrator(&server, "journal").await;
    client
        .batch_execute("INSERT INTO schema_version (version) VALUES (99)")
        .await
        .unwrap();
    super::outage::cut_all(&client).await;
    let claim = store.journal.claim(request(&key("call/1"))).await;
    let Err(error @ Error::Storage { .. }) = &claim else {
        panic!("{claim:?}")
    };
    assert!(chain(error).contains("run the newer release"), "{}", chain(error));
}

#[tokio::test]
async fn who_may_not_enter_is_told_what_the_server_said() {
    let server = serve();
    let port = server.port();
    let closed = {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.local_addr().unwrap().port()
    };
    for (url, said) in [
        (
            format!("postgres://postgres:wrong@127.0.0.1:{port}/postgres"),
            "password authentication failed",
        ),
        (
            format!("postgres://postgres@127.0.0.1:{port}/postgres"),
            "password",
        ),
        (
            format!("postgres://nobody:scratch@127.0.0.1:{port}/postgres"),
            "\"nobody\"",
        ),
        (
            format!("postgres://postgres:scratch@127.0.0.1:{port}/nowhere"),
            "\"nowhere\" does not exist",
        ),
        (
            format!("postgres://postgres:scratch@127.0.0.1:{closed}/postgres"),
            "refused",
        ),
        (
            format!("postgres://postgres:scratch@127.0.0.1:{port}/postgres?sslmode=require"),
            "TLS",
        ),
    ] {
        let options = Options {
            url,
            ..Options::default()
        };
        let error = refusal(&options).await;
        let Error::Connect { server, .. } = &error else {
            panic!("{error:?}")
        };
        assert!(
            server.starts_with("postgres://") && !server.contains("scratch"),
            "{server}"
        );
        let text = chain(&error);
        assert!(text.contains(said) && !text.contains("wrong"), "{text}");
    }
}

#[tokio::test]
async fn the_password_can_come_from_a_file_and_be_changed() {
    let server = serve();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "scratch\n").unwrap();
    let options = Options {
        url: server.url().replace(":scratch", ""),
        postgres: PostgresOptions {
            password_file: Some(file.clone()),
            ..PostgresOptions::default()
        },
        ..Options::default()
    };
    let journal = Postgres::open(&options).await.unwrap();
    let client = administrator(&server, "taw_journal").await;
    client
        .batch_execute("ALTER USER postgres PASSWORD 'rotated'")
        .await
        .unwrap();
    super::outage::cut_all(&client).await;
    std::fs::write(&file, "rotated").unwrap();
    let claim = journal.claim(request(&key("call/0"))).await.unwrap();
    assert!(matches!(claim, Claim::Granted(_)));

    for (content, said) in [(Some(" \n"), "is empty"), (None, "cannot be read")] {
        match content {
            Some(content) => std::fs::write(&file, content).unwrap(),
            None => std::fs::remove_file(&file).unwrap(),
        }
        let text = chain(&refusal(&options).await);
        assert!(text.contains("password file") && text.contains(said), "{text}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_wait_for_its_disk_is_refused() {
    let server = serve();
    let client = administrator(&server, "public").await;
    client
        .batch_execute("ALTER DATABASE postgres SET synchronous_commit = off")
        .await
        .unwrap();
    let text = chain(&refusal(&options(&server, "journal")).await);
    assert!(text.contains("synchronous_commit=off"), "{text}");

    let server = Server::start_with(&scratch_postgres::Options {
        settings: vec![("fsync".to_owned(), "off".to_owned())],
        ..scratch_postgres::Options::default()
    })
    .unwrap();
    let text = chain(&refusal(&options(&server, "journal")).await);
    assert!(text.contains("fsync=off"), "{text}");
}

#[tokio::test]
async fn a_user_without_rights_uses_what_somebody_else_has_made() {
    let server = serve();
    let client = administrator(&server, "public").await;
    client
        .batch_execute("CREATE USER worker PASSWORD 'worker'; REVOKE CREATE ON DATABASE postgres FROM PUBLIC")
        .await
        .unwrap();
    let worker = Options {
        url: server.url().replace("postgres:scratch@", "worker:worker@"),
        ..options(&server, "journal")
    };
    let text = chain(&refusal(&worker).await);
    assert!(text.contains("permission denied"), "{text}");

    let store = open_in(&server, "journal").await;
    store.granted(&key("call/0")).await;
    client
        .batch_execute(
            "GRANT USAGE ON SCHEMA journal TO worker;
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA journal TO worker",
        )
        .await
        .unwrap();
    let journal = Postgres::open(&worker).await.unwrap();
    let claim = journal.claim(request(&key("call/1"))).await.unwrap();
    assert!(matches!(claim, Claim::Granted(_)));
    assert_eq!(store.states(&key("call/1")).await, [State::Reserved]);
}

#[tokio::test]
async fn a_socket_of_this_machine_is_a_way_too() {
    let server = serve();
    let options = Options {
        url: server.socket_url(),
        ..options(&server, "journal")
    };
    let journal = Postgres::open(&options).await.unwrap();
    journal.check().await.unwrap();
}

#[tokio::test]
async fn wrong_options_are_all_told_before_anything_is_opened() {
    let options = Options {
        url: "sqlite:///tmp/journal.db".to_owned(),
        lease_seconds: 1,
        ..Options::default()
    };
    let error = refusal(&options).await;
    let Error::Options { problems } = &error else {
        panic!("{error:?}")
    };
    let paths: Vec<_> = problems.iter().map(|problem| problem.path).collect();
    assert_eq!(paths, ["lease_seconds", "url"]);
}
