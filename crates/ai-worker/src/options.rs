//! What the ai-worker is told, and what it does when it is told nothing.
//!
//! With no configuration at all it keeps its journal and its blobs in the user's state folder and runs the local model
//! that set-up unpacked; anything else is set explicitly.

use std::{collections::BTreeMap, ffi::OsString};

use serde::{Deserialize, Serialize};
use worker_factory::{
    AttributeKind, BoxError, Places, SearchAttribute,
    config::{Problem, Validate},
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

const LOCAL_MODEL: &str = "smollm2-135m-instruct";
const LOCAL_MODEL_FILE: &str = "models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";

/// The sections of the ai-worker, beside those of the process.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AiWorkerOptions {
    /// Where model calls are claimed and committed; by default a file in the user's state folder.
    pub journal: effect_journal::Options,
    /// Where documents and answers are; by default a folder in the user's state folder.
    pub blob_store: blob_store::Options,
    /// Who answers.
    pub models: Models,
}

/// Who answers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Models {
    /// Models in this process; by default the one that set-up unpacked.
    pub local: local_models::Options,
    /// Services with the OpenAI protocol, under names of your choice.
    pub openai: BTreeMap<String, model_clients::openai::Options>,
}

impl AiWorkerOptions {
    /// Fills in what nobody set.
    pub(crate) fn fill(
        &mut self,
        places: Option<&Places>,
        environment: Vec<(String, String)>,
    ) -> Result<(), BoxError> {
        let missing = self.journal.url.is_empty()
            || self.blob_store.url.is_empty()
            || self.models.local.models.is_empty();
        if missing {
            let places =
                places.ok_or("no home folder: set journal.url, blob_store.url and models.local.models")?;
            if self.journal.url.is_empty() {
                self.journal.url = format!("sqlite://{}", places.state().join("journal.db").display());
            }
            if self.blob_store.url.is_empty() {
                self.blob_store.url = places.folder_url("blobs");
            }
            if self.models.local.models.is_empty() {
                let model = local_models::ModelOptions::new(places.cache().join(LOCAL_MODEL_FILE));
                self.models.local.models.insert(LOCAL_MODEL.to_owned(), model);
            }
        }
        self.blob_store.fill_from(environment);
        Ok(())
    }
}

impl Validate for AiWorkerOptions {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !self.journal.url.is_empty() {
            let found = self.journal.validate().into_iter();
            problems
                .extend(found.map(|problem| Problem::new(problem.path, problem.message).within("journal")));
        }
        if !self.blob_store.url.is_empty() {
            let found = self.blob_store.validate().into_iter();
            problems.extend(
                found.map(|problem| Problem::new(problem.path, problem.message).within("blob_store")),
            );
        }
        let local = self.models.local.validate("models.local").into_iter();
        problems.extend(local.map(|problem| Problem::new(problem.path, problem.message)));
        for (name, options) in &self.models.openai {
            let section = format!("models.openai.{name}");
            let found = options.validate().into_iter();
            problems
                .extend(found.map(|problem| Problem::new(problem.path, problem.message).within(&section)));
        }
        problems
    }
}

/// Gives the variables that are text.
pub(crate) fn unicode(env: &[(OsString, OsString)]) -> Vec<(String, String)> {
    let text = |value: &OsString| value.to_str().map(str::to_owned);
    env.iter()
        .filter_map(|(name, value)| Some((text(name)?, text(value)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_no_configuration_everything_is_in_the_user_s_folders() {
        let env = [("HOME".into(), "/home/me".into())];
        let mut options = AiWorkerOptions::default();
        assert!(options.validate().is_empty());
        options.fill(Places::resolve(&env).as_ref(), Vec::new()).unwrap();
        assert_eq!(
            options.journal.url,
            "sqlite:///home/me/.local/state/temporal-ai-workers/journal.db"
        );
        assert_eq!(
            options.blob_store.url,
            "file:///home/me/.local/state/temporal-ai-workers/blobs/"
        );
        assert!(options.models.local.models.contains_key(LOCAL_MODEL));
        assert!(options.validate().is_empty());
    }

    #[test]
    fn mistakes_of_every_section_come_together() {
        let mut options = AiWorkerOptions::default();
        options.journal.url = "mysql://x".into();
        options.blob_store.url = "ftp://x".into();
        options
            .models
            .openai
            .insert("main".into(), model_clients::openai::Options::default());
        let keys: Vec<_> = options
            .validate()
            .into_iter()
            .map(|problem| problem.key)
            .collect();
        assert!(keys.iter().any(|key| key == "journal.url"), "{keys:?}");
        assert!(keys.iter().any(|key| key == "blob_store.url"), "{keys:?}");
        assert!(
            keys.iter().any(|key| key == "models.openai.main.base_url"),
            "{keys:?}"
        );
    }
}
