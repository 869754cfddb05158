//! A cluster that lets in whoever has a certificate of its authority.

use std::collections::BTreeMap;

use testkit::{Authority, CredentialFiles, Terms};

use crate::secured::{BAD_SETTING, NAME, Site, UNAVAILABLE, Variables};

fn with_certificate(mut variables: Variables, client: &CredentialFiles) -> Variables {
    let path = |path: &std::path::Path| path.display().to_string();
    variables.insert("TEMPORAL_TLS_CLIENT_CERT_PATH", path(&client.certificate));
    variables.insert("TEMPORAL_TLS_CLIENT_KEY_PATH", path(&client.key));
    variables
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_through_both_workers_by_variables_and_by_profile() {
    let site = Site::start().await;
    let terms = Terms {
        clients_of: Some(&site.authority),
        ..Terms::default()
    };
    let front = site.front(&terms).await;
    let client = site.client(&site.authority, "client");
    let by_variables = with_certificate(site.variables(&front), &client);
    let profile = format!(
        "[profile.secured]\naddress = \"{}\"\n\n[profile.secured.tls]\nserver_name = \"{NAME}\"\n\
         server_ca_cert_path = \"{}\"\nclient_cert_path = \"{}\"\nclient_key_path = \"{}\"\n",
        front.address(),
        site.authority_file().display(),
        client.certificate.display(),
        client.key.display()
    );
    let by_profile = BTreeMap::from([
        (
            "TEMPORAL_CONFIG_FILE",
            site.stack.write("temporal.toml", &profile),
        ),
        ("TEMPORAL_PROFILE", "secured".to_owned()),
    ]);

    let _ai = site.worker("ai-worker", "ai.log", &by_variables);
    let _data = site.worker("data-worker", "data.log", &by_profile);
    site.run(&by_profile, "by-profile", "data-worker").await;
    site.run(&by_variables, "by-variables", "data-worker").await;

    let activities = site.stack.activities("by-profile").await;
    assert!(
        activities.len() > 1 && activities.contains(&"generateText".to_owned()),
        "{activities:?}"
    );
    // A server that many share finds the namespace by this header.
    let nameless: Vec<_> = front
        .calls()
        .into_iter()
        .filter(|call| call.namespace.as_deref() != Some("default"))
        .collect();
    assert_eq!(nameless, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_certificate_is_said_soon_with_what_to_do() {
    let site = Site::start().await;
    let terms = Terms {
        clients_of: Some(&site.authority),
        ..Terms::default()
    };
    let front = site.front(&terms).await;
    let known = site.client(&site.authority, "client");
    let foreign = Authority::new("somebody else").unwrap();
    let stranger = site.client(&foreign, "stranger");
    let elsewhere = foreign.write(site.stack.folder(), "elsewhere").unwrap();

    let good = with_certificate(site.variables(&front), &known);
    let mut misnamed = good.clone();
    misnamed.insert("TEMPORAL_TLS_SERVER_NAME", "other.test".to_owned());
    let mut untrusted = good.clone();
    untrusted.insert(
        "TEMPORAL_TLS_SERVER_CA_CERT_PATH",
        elsewhere.display().to_string(),
    );
    // What the server refuses may be lost with the connection, so that it takes another attempt to learn it; what the
    // program itself refuses is sure at the first.
    let cases = [
        (
            "none",
            site.variables(&front),
            "demands a client certificate",
            "set TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH",
        ),
        (
            "foreign",
            with_certificate(site.variables(&front), &stranger),
            "does not trust the CA of the client certificate",
            "set TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH",
        ),
        (
            "misnamed",
            misnamed,
            "certificate not valid for name",
            "set TEMPORAL_TLS_SERVER_NAME to a name that the server's certificate has",
        ),
        (
            "untrusted",
            untrusted,
            "a CA that is not trusted here",
            "set TEMPORAL_TLS_SERVER_CA_CERT_PATH",
        ),
    ];
    for (name, variables, what, advice) in cases {
        for said in site.all_end(name, &variables, UNAVAILABLE).await {
            assert!(said.contains(what) && said.contains(advice), "{name}: {said}");
            assert!(
                !said.contains("trying again") || ["none", "foreign"].contains(&name),
                "{name}: {said}"
            );
        }
    }
    assert_eq!(front.calls(), [], "nobody came through");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_without_tls_says_what_the_server_may_want_and_how_long_it_tried() {
    let site = Site::start().await;
    let front = site.front(&Terms::default()).await;
    let mut variables = BTreeMap::from([("TEMPORAL_ADDRESS", front.address())]);
    for binary in ["AI_WORKER", "DATA_WORKER"] {
        let name = format!("{binary}__TEMPORAL__CONNECT_TIMEOUT_SECONDS");
        variables.insert(name.leak(), "2".to_owned());
    }
    let said = site.all_end("plain", &variables, UNAVAILABLE).await;
    for text in &said {
        assert!(
            text.contains("if the server wants TLS, set TEMPORAL_TLS=true"),
            "{text}"
        );
    }
    for log in &said[1..] {
        assert!(
            log.contains("no Temporal server yet; trying again in 250ms"),
            "{log}"
        );
        assert!(
            log.contains(&format!("no Temporal server at {} after ", front.address())),
            "{log}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_cannot_work_are_told_before_anything_connects() {
    let site = Site::start().await;
    let front = site.front(&Terms::default()).await;
    let [one, other] = ["one", "other"].map(|name| site.client(&site.authority, name));
    let crossed = CredentialFiles {
        certificate: one.certificate.clone(),
        key: other.key,
    };
    let absent = CredentialFiles {
        certificate: "/nowhere/client.pem".into(),
        key: one.certificate,
    };
    let cases = [
        (
            "crossed",
            crossed,
            vec!["TEMPORAL_TLS_CLIENT_*", "cannot be used with its key"],
        ),
        (
            "absent",
            absent,
            vec![
                "TEMPORAL_TLS_CLIENT_CERT_PATH",
                "/nowhere/client.pem cannot be read",
                "TEMPORAL_TLS_CLIENT_KEY_PATH",
                "holds no `PRIVATE KEY-----`",
            ],
        ),
    ];
    for (name, client, parts) in cases {
        let variables = with_certificate(site.variables(&front), &client);
        for said in site.all_end(name, &variables, BAD_SETTING).await {
            for part in &parts {
                assert!(said.contains(part), "{name}: {part}: {said}");
            }
        }
    }
}
