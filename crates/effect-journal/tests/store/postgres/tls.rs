//! TLS to the server, with certificates that were made for these tests.

use std::path::{Path, PathBuf};

use effect_journal::{Journal, Options, Postgres, PostgresOptions};
use scratch_postgres::{Server, Tls};

use super::{chain, options};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

fn server(certificate: &str, client_ca: Option<&str>) -> Server {
    Server::start_with(&scratch_postgres::Options {
        tls: Some(Tls {
            certificate: data(&format!("{certificate}.pem")),
            key: data(&format!("{certificate}-key.pem")),
            client_ca: client_ca.map(data),
        }),
        ..scratch_postgres::Options::default()
    })
    .unwrap()
}

fn secured(server: &Server, mode: &str, postgres: PostgresOptions) -> Options {
    Options {
        url: format!("{}?sslmode={mode}", server.url()),
        postgres,
        ..options(server, "journal")
    }
}

fn trusting() -> PostgresOptions {
    PostgresOptions {
        ca_file: Some(data("root.pem")),
        ..PostgresOptions::default()
    }
}

async fn checked(options: &Options) -> Result<(), String> {
    let journal = Postgres::open(options).await.map_err(|error| chain(&error))?;
    journal.check().await.map_err(|error| chain(&error))
}

#[tokio::test]
async fn a_server_is_verified_by_the_authority_that_is_given() {
    let right = server("server", None);
    assert_eq!(checked(&secured(&right, "verify-full", trusting())).await, Ok(()));
    let unknown = checked(&secured(&right, "verify-full", PostgresOptions::default()))
        .await
        .unwrap_err();
    assert!(
        unknown.contains("UnknownIssuer") || unknown.contains("root certificates"),
        "{unknown}"
    );
    let elsewhere = server("elsewhere", None);
    let other_name = checked(&secured(&elsewhere, "verify-full", trusting()))
        .await
        .unwrap_err();
    assert!(
        other_name.contains("127.0.0.1") || other_name.contains("NotValidForName"),
        "{other_name}"
    );
}

#[tokio::test]
async fn a_connection_can_be_encrypted_to_whoever_answers() {
    let elsewhere = server("elsewhere", None);
    let options = secured(&elsewhere, "require", PostgresOptions::default());
    assert_eq!(checked(&options).await, Ok(()));
}

#[tokio::test]
async fn a_client_shows_its_certificate_to_a_server_that_asks() {
    let server = server("server", Some("root.pem"));
    let without = checked(&secured(&server, "verify-full", trusting()))
        .await
        .unwrap_err();
    assert!(without.contains("certificate"), "{without}");
    let known = PostgresOptions {
        client_certificate_file: Some(data("client.pem")),
        client_key_file: Some(data("client-key.pem")),
        ..trusting()
    };
    assert_eq!(checked(&secured(&server, "verify-full", known)).await, Ok(()));
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let server = server("server", None);
    for (ca_file, key_file, named) in [
        (data("nowhere.pem"), data("client-key.pem"), "nowhere.pem"),
        (data("client-key.pem"), data("client-key.pem"), "client-key.pem"),
        (data("root.pem"), data("root.pem"), "root.pem"),
    ] {
        let postgres = PostgresOptions {
            ca_file: Some(ca_file),
            client_certificate_file: Some(data("client.pem")),
            client_key_file: Some(key_file),
            ..PostgresOptions::default()
        };
        let error = checked(&secured(&server, "verify-full", postgres))
            .await
            .unwrap_err();
        assert!(error.contains("PEM file") && error.contains(named), "{error}");
    }
}
