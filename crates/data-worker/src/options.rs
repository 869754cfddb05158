//! What the data-worker is told, and what it does when it is told nothing.

use std::ffi::OsString;

use data_activities::{ModelOptions, Tokenizer};
use serde::{Deserialize, Serialize};
use worker_factory::{
    BoxError, Places,
    config::{Problem, Validate},
};
use workflow_types::request::DEFAULT_MODEL;

const LOCAL_MODEL_FILE: &str = "models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
/// The window of the local model, as its file says.
const LOCAL_CONTEXT_WINDOW: u32 = 8_192;

/// The sections of the data-worker, beside those of the process.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DataWorkerOptions {
    /// Where documents and answers are; by default a folder in the user's state folder.
    pub blob_store: blob_store::Options,
    /// How documents are worked on, and for which models; by default the local model that set-up unpacked.
    pub documents: data_activities::Options,
}

impl DataWorkerOptions {
    /// Fills in what nobody set.
    pub(crate) fn fill(
        &mut self,
        places: Option<&Places>,
        environment: Vec<(String, String)>,
    ) -> Result<(), BoxError> {
        if self.blob_store.url.is_empty() || self.documents.models.is_empty() {
            let places = places.ok_or("no home folder: set blob_store.url and documents.models")?;
            if self.blob_store.url.is_empty() {
                self.blob_store.url = places.folder_url("blobs");
            }
            if self.documents.models.is_empty() {
                let path = places.cache().join(LOCAL_MODEL_FILE);
                let model = ModelOptions {
                    context_window: LOCAL_CONTEXT_WINDOW,
                    tokenizer: Tokenizer::Gguf { path },
                };
                self.documents.models.insert(DEFAULT_MODEL.to_owned(), model);
            }
        }
        self.blob_store.fill_from(environment);
        Ok(())
    }
}

impl Validate for DataWorkerOptions {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !self.blob_store.url.is_empty() {
            let found = self.blob_store.validate().into_iter();
            problems.extend(
                found.map(|problem| Problem::new(problem.path, problem.message).within("blob_store")),
            );
        }
        let documents = self.documents.validate().into_iter();
        problems
            .extend(documents.map(|problem| Problem::new(problem.path, problem.message).within("documents")));
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
        let mut options = DataWorkerOptions::default();
        assert!(options.validate().is_empty());
        options.fill(Places::resolve(&env).as_ref(), Vec::new()).unwrap();
        assert_eq!(
            options.blob_store.url,
            "file:///home/me/.local/state/temporal-ai-workers/blobs/"
        );
        assert!(options.documents.models.contains_key(DEFAULT_MODEL));
        assert!(options.validate().is_empty());
    }
}
