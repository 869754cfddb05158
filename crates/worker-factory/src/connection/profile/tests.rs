//! What the variables mean, and which mistakes stop a worker.

use std::{collections::HashMap, io::Write as _};

use temporalio_client::GrpcCompression;

use super::{Deployment, Options, Profile};

fn env(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    // Without a named file the user's own profile would be read.
    let mut env = HashMap::from([("TEMPORAL_CONFIG_FILE".to_owned(), "/dev/null".to_owned())]);
    env.extend(
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    );
    env
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// A certificate and its key, as PEM.
fn credential() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["client.test".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn problems(options: &Options, pairs: &[(&str, &str)]) -> Vec<String> {
    let found = Profile::resolve(options, &env(pairs)).unwrap_err();
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn the_address_and_namespace_come_from_the_variables() {
    let pairs = [
        ("TEMPORAL_ADDRESS", "temporal.internal:7233"),
        ("TEMPORAL_NAMESPACE", "ai"),
    ];
    let profile = Profile::resolve(&Options::default(), &env(&pairs)).unwrap();
    assert_eq!(profile.address(), "temporal.internal:7233");
    assert_eq!(profile.namespace, "ai");
    assert_eq!(profile.connection.target.scheme(), "http");
    assert_eq!(profile.connection.grpc_compression, GrpcCompression::None);
    assert_eq!(profile.deployment, None);
}

#[test]
fn an_api_key_turns_tls_on_unless_it_is_switched_off() {
    let key = ("TEMPORAL_API_KEY", "k");
    let address = ("TEMPORAL_ADDRESS", "h:1");
    let with = Profile::resolve(&Options::default(), &env(&[key, address])).unwrap();
    assert!(with.connection.tls_options.is_some());
    let without = Profile::resolve(
        &Options::default(),
        &env(&[key, address, ("TEMPORAL_TLS", "false")]),
    )
    .unwrap();
    assert!(without.connection.tls_options.is_none());
}

#[test]
fn the_variables_of_the_worker_controller_are_understood() {
    let made = credential();
    let (cert, key) = (file(&made.0), file(&made.1));
    let pairs = [
        ("TEMPORAL_ADDRESS", "h:7233"),
        ("TEMPORAL_TLS", "true"),
        ("TEMPORAL_TLS_SERVER_NAME", "temporal.example"),
        ("TEMPORAL_TLS_CLIENT_CERT_PATH", cert.path().to_str().unwrap()),
        ("TEMPORAL_TLS_CLIENT_KEY_PATH", key.path().to_str().unwrap()),
        ("TEMPORAL_DEPLOYMENT_NAME", "ai"),
        ("TEMPORAL_WORKER_BUILD_ID", "v1"),
    ];
    let profile = Profile::resolve(&Options::default(), &env(&pairs)).unwrap();
    let tls = profile.connection.tls_options.unwrap();
    assert_eq!(tls.domain.as_deref(), Some("temporal.example"));
    let client = tls.client_tls_options.unwrap();
    assert_eq!(
        (client.client_cert, client.client_private_key),
        (made.0.into_bytes(), made.1.into_bytes())
    );
    assert_eq!(
        profile.deployment,
        Some(Deployment {
            name: Some("ai".to_owned()),
            build_id: "v1".to_owned()
        })
    );
}

#[test]
fn a_profile_file_is_read_and_a_variable_overrides_it() {
    let toml = file("[profile.prod]\naddress = \"p:1\"\nnamespace = \"prod\"\n");
    let options = Options {
        profile_file: Some(toml.path().to_owned()),
        profile: Some("prod".to_owned()),
        ..Options::default()
    };
    let profile = Profile::resolve(&options, &env(&[("TEMPORAL_NAMESPACE", "other")])).unwrap();
    assert_eq!(
        (profile.address().as_str(), profile.namespace.as_str()),
        ("p:1", "other")
    );
}

#[test]
fn an_api_key_file_is_read_without_its_newline_and_excludes_the_variable() {
    let key = file("secret-key\n");
    let options = Options {
        api_key_file: Some(key.path().to_owned()),
        ..Options::default()
    };
    let profile = Profile::resolve(&options, &env(&[])).unwrap();
    assert_eq!(profile.connection.api_key.as_deref(), Some("secret-key"));
    assert!(!format!("{profile:?}").contains("secret-key"));
    let found = problems(&options, &[("TEMPORAL_API_KEY", "other")]);
    assert!(
        found.len() == 1 && found[0].contains("leave one of them out"),
        "{found:?}"
    );
}

#[test]
fn what_the_sdk_would_drop_silently_is_refused_all_at_once() {
    let long = "x".repeat(64);
    let options = Options {
        api_key_file: Some("/nonexistent/key".into()),
        ..Options::default()
    };
    let pairs = [
        ("TEMPORAL_CONFIG_FILE", "/nonexistent/temporal.toml"),
        ("TEMPORAL_TLS", "yes"),
        ("TEMPORAL_TLS_DISABLE_HOST_VERIFICATION", "true"),
        ("TEMPORAL_DEPLOYMENT_NAME", long.as_str()),
    ];
    let found = problems(&options, &pairs);
    for part in [
        "temporal.toml does not exist",
        "`yes` is neither",
        "is not supported by this SDK",
        "longer than 63",
        "needs TEMPORAL_WORKER_BUILD_ID",
        "/nonexistent/key",
    ] {
        assert!(found.iter().any(|line| line.contains(part)), "{part}: {found:#?}");
    }
    assert_eq!(found.len(), 6, "{found:#?}");
}

#[test]
fn half_of_a_client_certificate_is_refused() {
    let cert = file(&credential().0);
    let found = problems(
        &Options::default(),
        &[("TEMPORAL_TLS_CLIENT_CERT_PATH", cert.path().to_str().unwrap())],
    );
    assert!(found[0].contains("must be provided together"), "{found:?}");
}

#[test]
fn a_certificate_with_the_key_of_another_is_refused() {
    let (cert, key) = (file(&credential().0), file(&credential().1));
    let pairs = [
        ("TEMPORAL_TLS_CLIENT_CERT_PATH", cert.path().to_str().unwrap()),
        ("TEMPORAL_TLS_CLIENT_KEY_PATH", key.path().to_str().unwrap()),
    ];
    let found = problems(&Options::default(), &pairs);
    assert!(
        found.len() == 1 && found[0].contains("cannot be used with its key"),
        "{found:?}"
    );
}

#[test]
fn a_file_that_is_missing_or_something_else_is_named() {
    let page = file("<html>");
    let path = page.path().to_str().unwrap();
    let pairs = [
        ("TEMPORAL_TLS_CLIENT_CERT_PATH", "/nonexistent/client.pem"),
        ("TEMPORAL_TLS_CLIENT_KEY_PATH", path),
        ("TEMPORAL_TLS_SERVER_CA_CERT_DATA", "nothing"),
    ];
    let found = problems(&Options::default(), &pairs);
    for part in [
        "TEMPORAL_TLS_CLIENT_CERT_PATH: the file /nonexistent/client.pem cannot be read",
        &format!("TEMPORAL_TLS_CLIENT_KEY_PATH: the file {path} holds no"),
        "TEMPORAL_TLS_SERVER_CA_CERT_DATA: the value holds no",
    ] {
        assert!(
            found.iter().any(|line| line.starts_with(part)),
            "{part}: {found:#?}"
        );
    }
    assert_eq!(found.len(), 3, "{found:#?}");
    // What is switched off is not looked at.
    let off = [&pairs[..], &[("TEMPORAL_TLS", "false")]].concat();
    assert!(Profile::resolve(&Options::default(), &env(&off)).is_ok());
}

#[test]
fn the_scheme_of_the_address_cannot_undo_tls_in_silence() {
    let key = ("TEMPORAL_API_KEY", "k");
    let found = problems(&Options::default(), &[key, ("TEMPORAL_ADDRESS", "http://h:1")]);
    assert!(
        found.len() == 1 && found[0].contains("begins with `http://`, but the API key"),
        "{found:?}"
    );
    let off = ("TEMPORAL_TLS", "false");
    let found = problems(&Options::default(), &[off, ("TEMPORAL_ADDRESS", "https://h:1")]);
    assert!(
        found.len() == 1 && found[0].contains("begins with `https://`, but TEMPORAL_TLS=false"),
        "{found:?}"
    );
    let plain = [key, off, ("TEMPORAL_ADDRESS", "http://h:1")];
    assert!(Profile::resolve(&Options::default(), &env(&plain)).is_ok());
    let secure = Profile::resolve(&Options::default(), &env(&[("TEMPORAL_ADDRESS", "https://h:1")])).unwrap();
    assert!(secure.connection.tls_options.is_some(), "the scheme says it");
}

#[test]
fn a_key_is_cleaned_and_one_that_no_header_can_carry_is_refused() {
    let profile = Profile::resolve(&Options::default(), &env(&[("TEMPORAL_API_KEY", "k\n")])).unwrap();
    assert_eq!(profile.connection.api_key.as_deref(), Some("k"));
    let found = problems(&Options::default(), &[("TEMPORAL_API_KEY", "two\nlines")]);
    assert!(
        found.len() == 1 && found[0].contains("no header can carry") && !found[0].contains("lines"),
        "{found:?}"
    );
}

#[test]
fn a_profile_file_that_cannot_be_read_is_not_quoted() {
    let toml = file("[profile.default]\naddress = \"h:1\"\napi_key = \"secret-key\n");
    let options = Options {
        profile_file: Some(toml.path().to_owned()),
        ..Options::default()
    };
    let found = problems(&options, &[]);
    assert!(
        found.len() == 1 && found[0].contains("line 3") && !found[0].contains("secret-key"),
        "{found:?}"
    );
}

#[test]
fn an_address_without_a_port_is_refused_under_the_key_that_set_it() {
    let found = problems(&Options::default(), &[("TEMPORAL_ADDRESS", "foo")]);
    assert_eq!(
        found,
        [
            "TEMPORAL_ADDRESS: `foo` is not `host:port`; for example `localhost:7233`, or `https://temporal.example:7233`"
        ]
    );
    let toml = file("[profile.default]\naddress = \"https://foo\"\n");
    let options = Options {
        profile_file: Some(toml.path().to_owned()),
        ..Options::default()
    };
    let found = problems(&options, &[]);
    assert!(
        found.len() == 1 && found[0].starts_with("the profile's key `address`: `https://foo` is not"),
        "{found:?}"
    );
    assert!(Profile::resolve(&options, &env(&[("TEMPORAL_ADDRESS", "foo:1")])).is_ok());
    let unset = Profile::resolve(&Options::default(), &env(&[("TEMPORAL_ADDRESS", "")])).unwrap();
    assert_eq!(unset.address(), "localhost:7233");
}
