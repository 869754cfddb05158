//! What the ai-worker is told, and what it does when it is told nothing.
//!
//! With no configuration at all it keeps its journal and its blobs in the user's state folder and runs the local model
//! that set-up unpacked; anything else is set explicitly. Where a hosted model is set and nothing was unpacked, as in an
//! image for a cluster, there is no local model, because one without a file would only fail later.

use std::collections::BTreeMap;

use local_models::ModelOptions;
use model_clients::openai;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use worker_factory::{
    AttributeKind, SearchAttribute, Surroundings,
    config::{NamedFile, Problem, Sections, Validate},
};
use workflow_types::names::search_attribute as name;

/// The search attributes that the workflows write.
pub(crate) const SEARCH_ATTRIBUTES: &[SearchAttribute] = &[
    SearchAttribute {
        name: name::PIPELINE,
        kind: AttributeKind::Keyword,
    },
    SearchAttribute {
        name: name::TENANT,
        kind: AttributeKind::Keyword,
    },
    SearchAttribute {
        name: name::MODEL,
        kind: AttributeKind::Keyword,
    },
    SearchAttribute {
        name: name::STAGE,
        kind: AttributeKind::Keyword,
    },
    SearchAttribute {
        name: name::AWAITING,
        kind: AttributeKind::Keyword,
    },
    SearchAttribute {
        name: name::SPEND_MICROS,
        kind: AttributeKind::Int,
    },
];

/// The sections of the ai-worker, beside those of the process.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AiWorkerOptions {
    /// Where model calls are claimed and committed.
    pub journal: effect_journal::Options,
    /// Where documents and answers are.
    pub blob_store: blob_store::Options,
    /// Who answers.
    pub models: Models,
}

/// Who answers.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Models {
    /// Models in this process.
    pub local: local_models::Options,
    /// Services with the OpenAI protocol, under names of your choice.
    #[schemars(extend(
        "x-unset" = "no hosted model",
        "examples" = [{"main": {
            "base_url": "http://127.0.0.1:8080/v1",
            "models": {"small": {"context_window": 4096, "billing": {"kind": "free"}}}
        }}]
    ))]
    pub openai: BTreeMap<String, openai::Options>,
}

impl Sections for AiWorkerOptions {
    fn fill(&mut self, surroundings: &Surroundings) {
        if let Some(places) = &surroundings.places {
            if self.journal.url.is_empty() {
                self.journal.url = format!("sqlite://{}", places.state().join("journal.db").display());
            }
            if self.models.local.models.is_empty() {
                let (name, model) = ModelOptions::bundled(places.cache());
                if self.models.openai.is_empty() || model.path.is_file() {
                    self.models.local.models.insert(name, model);
                }
            }
        }
        self.blob_store.fill(
            surroundings.folder_url(blob_store::LOCAL_FOLDER),
            surroundings.variables.iter().cloned(),
        );
    }

    fn files(&self) -> Vec<NamedFile> {
        let local = self
            .models
            .local
            .files()
            .into_iter()
            .map(|(key, path)| NamedFile {
                remedy: "run `make setup` to fetch the model that comes along, or correct the path",
                ..NamedFile::new(format!("models.local.{key}"), path)
            });
        let hosted = self.models.openai.iter().flat_map(|(name, options)| {
            let files = options.files().into_iter();
            files.map(move |(key, path)| NamedFile::new(format!("models.openai.{name}.{key}"), path))
        });
        let blobs = self.blob_store.files().into_iter();
        local
            .chain(hosted)
            .chain(blobs.map(|(key, path)| NamedFile::new(format!("blob_store.{key}"), path)))
            .collect()
    }
}

impl Validate for AiWorkerOptions {
    fn validate(&self) -> Vec<Problem> {
        let journal = self.journal.validate().into_iter();
        let journal = journal.map(|found| Problem::new(found.path, found.message).within("journal"));
        let blobs = self.blob_store.validate().into_iter();
        let blobs = blobs.map(|found| Problem::new(found.path, found.message).within("blob_store"));
        let local = self.models.local.validate("models.local").into_iter();
        let local = local.map(|found| Problem::new(found.path, found.message));
        let hosted = self.models.openai.iter().flat_map(|(name, options)| {
            let found = options.validate().into_iter();
            found.map(move |found| {
                Problem::new(found.path, found.message).within(&format!("models.openai.{name}"))
            })
        });
        journal
            .chain(blobs)
            .chain(local)
            .chain(hosted)
            .chain(self.models.ambiguous())
            .collect()
    }
}

impl Models {
    /// Says where nobody would answer, or where one provider would silently take the place of another.
    fn ambiguous(&self) -> Vec<Problem> {
        if self.local.models.is_empty() && self.openai.is_empty() {
            let message = "nobody answers; add models.openai.NAME or models.local.models.NAME";
            return vec![Problem::new("models", message)];
        }
        let mut taken = BTreeMap::from([(local_models::provider::NAME, "models.local".to_owned())]);
        let mut problems = Vec::new();
        for (section, options) in &self.openai {
            let place = format!("models.openai.{section}");
            if let Some(first) = taken.get(options.name.as_str()) {
                let message = format!(
                    "is `{}`, by which model references mean {first}; give each provider a name of its own",
                    options.name
                );
                problems.push(Problem::new(format!("{place}.name"), message));
            } else {
                taken.insert(options.name.as_str(), place);
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
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
}
