//! What options are taken, what the others are told, and that values stay hidden.

use super::*;

fn options(url: &str, keys: &[&str]) -> Options {
    Options {
        url: url.to_owned(),
        options: keys
            .iter()
            .map(|key| ((*key).to_owned(), "hunter2".to_owned()))
            .collect(),
        ..Options::default()
    }
}

fn paths(options: &Options) -> Vec<String> {
    options
        .validate()
        .into_iter()
        .map(|problem| problem.path)
        .collect()
}

#[test]
fn every_kind_of_store_takes_its_own_keys() {
    for (url, keys) in [
        ("file:///var/lib/blobs", &[][..]),
        (
            "s3://bucket/prefix",
            &["aws_access_key_id", "region", "allow_http", "timeout"][..],
        ),
        ("gs://bucket", &["google_service_account"][..]),
        ("az://container/prefix", &["azure_storage_account_name"][..]),
    ] {
        assert_eq!(options(url, keys).validate(), [], "{url}");
    }
}

#[test]
fn every_problem_is_reported_at_once_by_its_path() {
    let mut wrong = options("s3://bucket", &["aws_regoin", "azure_client_id"]);
    wrong.max_object_bytes = 0;
    assert_eq!(
        paths(&wrong),
        [
            "options.aws_regoin",
            "options.azure_client_id",
            "max_object_bytes"
        ]
    );
    assert_eq!(
        paths(&options("file:///x", &["aws_region"])),
        ["options.aws_region"]
    );
}

#[test]
fn an_address_that_is_no_store_is_told_what_is() {
    for url in [
        "",
        "blobs",
        "/var/blobs",
        "file://relative/x",
        "http://h/x",
        "memory:///",
        "s3://",
        "s3://b?k=hunter2",
    ] {
        let problems = options(url, &[]).validate();
        assert_eq!(problems.len(), 1, "{url}: {problems:?}");
        assert_eq!(problems[0].path, "url", "{url}");
        assert!(!problems[0].message.contains("hunter2"), "{url}");
    }
}

#[test]
fn values_are_never_shown() {
    let options = options("s3://bucket", &["aws_secret_access_key"]);
    assert!(!format!("{options:?}").contains("hunter2"));
    let printed = serde_json::to_string(&options).unwrap();
    assert!(
        printed.contains("aws_secret_access_key") && !printed.contains("hunter2"),
        "{printed}"
    );
}

#[test]
fn variables_fill_what_the_options_leave_open() {
    let mut options = options("s3://bucket", &["region"]);
    let variables = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ROLE_ARN", "arn"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"),
        ("AWS_PAGER", "less"),
        ("AZURE_CLIENT_ID", "id"),
        ("TIMEOUT", "1s"),
    ];
    options.fill_from(variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let set: Vec<_> = options
        .options
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        set,
        [
            ("aws_role_arn", "arn"),
            ("aws_web_identity_token_file", "/token"),
            ("region", "hunter2")
        ]
    );
}

#[test]
fn an_address_is_filled_in_only_where_none_is_set() {
    let mut unset = Options::default();
    unset.fill(Some("file:///state/blobs/".to_owned()), []);
    assert_eq!(unset.url, "file:///state/blobs/");
    let mut set = options("s3://bucket", &[]);
    let region = ("AWS_REGION".to_owned(), "eu-west-1".to_owned());
    set.fill(Some("file:///state/blobs/".to_owned()), [region]);
    assert_eq!(
        (set.url.as_str(), set.options["aws_region"].as_str()),
        ("s3://bucket", "eu-west-1")
    );
}

#[test]
fn the_files_of_a_provider_are_told_from_its_other_options() {
    for (url, key) in [
        ("s3://b", "web_identity_token_file"),
        ("gs://b", "google_service_account_path"),
        ("az://b", "AZURE_FEDERATED_TOKEN_FILE"),
    ] {
        let found = options(url, &[key, "timeout"]).files();
        assert_eq!(found, [(format!("options.{key}"), "hunter2".into())], "{url}");
    }
    assert_eq!(options("file:///x", &[]).files(), []);
}

#[test]
fn an_unknown_option_is_refused() {
    let read = serde_json::from_str::<Options>(r#"{"url":"file:///x","bucket":"b"}"#);
    assert!(read.unwrap_err().to_string().contains("unknown field `bucket`"));
}
