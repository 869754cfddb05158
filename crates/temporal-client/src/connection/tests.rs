//! What variables and options come to, and what the errors say.

use super::*;

fn env(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    // An empty profile file keeps the machine's own out of the test.
    let mut env = HashMap::from([("TEMPORAL_CONFIG_FILE".to_owned(), "/dev/null".to_owned())]);
    env.extend(
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    );
    env
}

fn resolve(options: &Options, pairs: &[(&str, &str)]) -> Result<Target, Problems> {
    Target::resolve(options, &env(pairs)).map_err(|error| {
        let Error::Settings(problems) = error else {
            panic!("{error}")
        };
        problems
    })
}

#[test]
fn nothing_set_means_the_local_default() {
    let target = resolve(&Options::default(), &[]).ok().unwrap();
    assert_eq!(target.address(), "localhost:7233");
    assert_eq!(target.namespace(), "default");
}

#[test]
fn options_overrule_variables() {
    let options = Options {
        address: Some("127.0.0.1:9".into()),
        ..Options::default()
    };
    let target = resolve(
        &options,
        &[("TEMPORAL_ADDRESS", "x:1"), ("TEMPORAL_NAMESPACE", "team")],
    )
    .ok()
    .unwrap();
    assert_eq!(target.address(), "127.0.0.1:9");
    assert_eq!(target.namespace(), "team");
}

#[test]
fn an_api_key_never_shows() {
    let target = resolve(
        &Options::default(),
        &[("TEMPORAL_API_KEY", "k-123"), ("TEMPORAL_ADDRESS", "cloud:7233")],
    )
    .ok()
    .unwrap();
    assert_eq!(target.address(), "cloud:7233");
    assert_eq!(
        target.connection.target.scheme(),
        "https",
        "a key switches TLS on"
    );
}

#[test]
fn every_bad_setting_is_named() {
    let options = Options {
        profile_file: Some("/nowhere/temporal.toml".into()),
        ..Options::default()
    };
    let Err(problems) = resolve(&options, &[("TEMPORAL_TLS", "maybe")]) else {
        panic!("was taken")
    };
    let paths: Vec<_> = problems
        .into_vec()
        .into_iter()
        .map(|problem| problem.path)
        .collect();
    assert_eq!(paths, ["profile_file", "TEMPORAL_TLS"]);
}

#[tokio::test]
async fn no_server_says_how_to_get_one() {
    // Port 1 is reserved and nothing listens there.
    let options = Options {
        address: Some("127.0.0.1:1".into()),
        ..Options::default()
    };
    let error = resolve(&options, &[])
        .ok()
        .unwrap()
        .connect()
        .await
        .err()
        .unwrap();
    let text = error.to_string();
    assert!(
        text.starts_with("no Temporal server at 127.0.0.1:1: start one with `pipelinectl dev`"),
        "{text}"
    );
}

#[test]
fn what_cannot_work_over_tls_is_named() {
    let made = rcgen::generate_simple_self_signed(vec!["client.test".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [certificate, key] = [
        ("client.pem", made.cert.pem()),
        ("client.key", made.signing_key.serialize_pem()),
    ]
    .map(|(name, text)| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    });
    let paths = |pairs: &[(&str, &str)]| -> Vec<String> {
        let problems = resolve(&Options::default(), pairs).err().map(Problems::into_vec);
        problems
            .unwrap_or_default()
            .into_iter()
            .map(|problem| problem.path)
            .collect()
    };
    let certificate = ("TEMPORAL_TLS_CLIENT_CERT_PATH", certificate.as_str());
    let right = ("TEMPORAL_TLS_CLIENT_KEY_PATH", key.as_str());
    assert_eq!(paths(&[certificate, right]), Vec::<String>::new());
    let wrong = ("TEMPORAL_TLS_CLIENT_KEY_PATH", certificate.1);
    assert_eq!(paths(&[certificate, wrong]), ["TEMPORAL_TLS_CLIENT_KEY_PATH"]);
    let api_key = ("TEMPORAL_API_KEY", "k");
    assert_eq!(
        paths(&[api_key, ("TEMPORAL_ADDRESS", "http://h:1")]),
        ["TEMPORAL_ADDRESS"]
    );
    assert_eq!(paths(&[("TEMPORAL_API_KEY", "two\nlines")]), ["TEMPORAL_API_KEY"]);
    let secure = resolve(&Options::default(), &[("TEMPORAL_ADDRESS", "https://h:1")]);
    assert!(secure.ok().unwrap().connection.tls_options.is_some());
}

#[test]
fn a_profile_file_that_cannot_be_read_is_not_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("temporal.toml");
    std::fs::write(&file, "[profile.default]\napi_key = \"secret-key\n").unwrap();
    let options = Options {
        profile_file: Some(file),
        ..Options::default()
    };
    let problems = resolve(&options, &[]).err().unwrap().into_vec();
    let message = &problems[0].message;
    assert!(
        message.contains("line 2") && !message.contains("secret-key"),
        "{message}"
    );
}

#[test]
fn an_address_without_a_port_is_refused_under_the_key_that_set_it() {
    let given = Options {
        address: Some("foo:port".to_owned()),
        ..Options::default()
    };
    let variable = [("TEMPORAL_ADDRESS", "foo")];
    for (options, said) in [
        (&given, "address: `foo:port` is not `host:port`"),
        (&Options::default(), "TEMPORAL_ADDRESS: `foo` is not `host:port`"),
    ] {
        let problems = resolve(options, &variable).err().unwrap().to_string();
        assert!(problems.starts_with(said), "{problems}");
    }
    let unset = resolve(&Options::default(), &[("TEMPORAL_ADDRESS", "")]);
    assert_eq!(unset.ok().unwrap().address(), "localhost:7233");
}
