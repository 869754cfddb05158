//! What is filled in, and which mistakes are found before a worker starts.

use workflow_types::request::DEFAULT_MODEL;

use super::*;

fn filled(mut options: AiWorkerOptions, home: &str) -> AiWorkerOptions {
    options.fill(&Surroundings::of(&[("HOME".into(), home.into())]));
    options
}

fn keys(options: &AiWorkerOptions) -> Vec<String> {
    let found = options.validate().into_iter();
    found.map(|problem| problem.key).collect()
}

fn hosted(names: &[&str]) -> AiWorkerOptions {
    let mut options = AiWorkerOptions::default();
    for (number, name) in names.iter().enumerate() {
        let hosted = openai::Options {
            name: (*name).to_owned(),
            ..openai::Options::default()
        };
        options.models.openai.insert(format!("s{number}"), hosted);
    }
    options
}

#[test]
fn with_no_configuration_everything_is_in_the_user_s_folders() {
    let options = filled(AiWorkerOptions::default(), "/home/me");
    assert_eq!(
        options.journal.url,
        "sqlite:///home/me/.local/state/temporal-ai-workers/journal.db"
    );
    assert_eq!(
        options.blob_store.url,
        "file:///home/me/.local/state/temporal-ai-workers/blobs/"
    );
    let models = options.models.local.models.keys();
    let names: Vec<_> = models
        .map(|name| format!("{}/{name}", local_models::provider::NAME))
        .collect();
    assert_eq!(names, [DEFAULT_MODEL]);
    assert_eq!(keys(&options), [""; 0]);
}

#[test]
fn without_a_home_folder_every_place_has_to_be_set() {
    let options = filled(AiWorkerOptions::default(), "");
    assert_eq!(keys(&options), ["journal.url", "blob_store.url", "models"]);
}

#[test]
fn the_local_model_is_left_out_only_where_another_is_set_and_its_file_is_not_there() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path().to_str().unwrap();
    let alone = filled(AiWorkerOptions::default(), home);
    let file = alone.files().remove(0);
    assert_eq!(file.key, "models.local.models.smollm2-135m-instruct.path");
    assert!(file.remedy.contains("make setup"), "{file:?}");
    assert!(filled(hosted(&["a"]), home).models.local.models.is_empty());
    std::fs::create_dir_all(file.path.parent().unwrap()).unwrap();
    std::fs::write(&file.path, "").unwrap();
    assert_eq!(filled(hosted(&["a"]), home).models.local.models.len(), 1);
}

#[test]
fn a_model_that_nobody_knows_a_price_of_is_refused_with_all_other_mistakes() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("prices.toml");
    let mut options = AiWorkerOptions::default();
    let main: openai::Options = serde_json::from_value(serde_json::json!({
        "base_url": "http://127.0.0.1:8080/v1",
        "models": {"our-own": {"context_window": 4_096}}
    }))
    .unwrap();
    options.models.openai.insert("main".into(), main);
    let mut options = filled(options, "/home/me");
    let unpriced = "models.openai.main.models.our-own.billing";
    assert_eq!(keys(&options), [unpriced]);
    options.prices.file = Some(table.clone());
    assert!(options.files().iter().any(|file| file.key == "prices.file"));
    std::fs::write(
        &table,
        "version = \"1\"\ncurrency = \"USD\"\n[[models]]\nprovider = \"openai\"\nname = \"our-own\"\n\
         source = \"a test\"\ninput_micros_per_million = 1\ncached_input_micros_per_million = 1\n\
         output_micros_per_million = 1\n",
    )
    .unwrap();
    assert_eq!(keys(&options), [""; 0]);
    std::fs::write(&table, "version = 1").unwrap();
    assert_eq!(keys(&options), ["prices.file"]);
}

#[test]
fn services_of_both_protocols_are_told_apart_by_name() {
    let mut options = hosted(&["main"]);
    let other = anthropic::Options {
        name: "main".into(),
        api_key_file: Some("/nonexistent/key".into()),
        ..anthropic::Options::default()
    };
    options.models.anthropic.insert("other".into(), other);
    let options = filled(options, "/home/me");
    assert!(options.models.local.models.is_empty());
    let found = keys(&options);
    for key in ["models.anthropic.other.name", "models.anthropic.other.base_url"] {
        assert!(found.iter().any(|found| found == key), "{key}: {found:?}");
    }
    let files = options.files().into_iter().map(|file| file.key);
    assert_eq!(files.collect::<Vec<_>>(), ["models.anthropic.other.api_key_file"]);
}

#[test]
fn two_providers_with_one_name_are_refused() {
    let options = filled(hosted(&["openai", "openai", "local"]), "/home/me");
    let found = options.models.ambiguous();
    let keys: Vec<_> = found.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["models.openai.s1.name", "models.openai.s2.name"]);
    assert!(found[0].message.contains("models.openai.s0"), "{found:?}");
}

#[test]
fn mistakes_of_every_section_come_together() {
    let mut options = hosted(&["main"]);
    options.journal.url = "mysql://x".into();
    options.blob_store.url = "ftp://x".into();
    let found = keys(&options);
    for key in ["journal.url", "blob_store.url", "models.openai.s0.base_url"] {
        assert!(found.iter().any(|found| found == key), "{key}: {found:?}");
    }
}
