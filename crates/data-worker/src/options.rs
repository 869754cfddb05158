//! What the data-worker is told, and what it does when it is told nothing.

use data_activities::ModelOptions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use worker_factory::{
    Surroundings,
    config::{NamedFile, Problem, Sections, Validate},
};

/// The sections of the data-worker, beside those of the process.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DataWorkerOptions {
    /// Where documents and answers are.
    pub blob_store: blob_store::Options,
    /// How documents are worked on, and for which models.
    pub documents: data_activities::Options,
}

impl Sections for DataWorkerOptions {
    fn fill(&mut self, surroundings: &Surroundings) {
        if let Some(places) = &surroundings.places
            && self.documents.models.is_empty()
        {
            self.documents
                .models
                .extend([ModelOptions::bundled(places.cache())]);
        }
        self.blob_store.fill(
            surroundings.folder_url(blob_store::LOCAL_FOLDER),
            surroundings.variables.iter().cloned(),
        );
    }

    fn files(&self) -> Vec<NamedFile> {
        let documents = self.documents.files().into_iter().map(|(key, path)| NamedFile {
            remedy: "run `make setup` to fetch the model that comes along, or correct the path",
            ..NamedFile::new(format!("documents.{key}"), path)
        });
        let blobs = self.blob_store.files().into_iter();
        documents
            .chain(blobs.map(|(key, path)| NamedFile::new(format!("blob_store.{key}"), path)))
            .collect()
    }
}

impl Validate for DataWorkerOptions {
    fn validate(&self) -> Vec<Problem> {
        let blobs = self.blob_store.validate().into_iter();
        let blobs = blobs.map(|found| Problem::new(found.path, found.message).within("blob_store"));
        let documents = self.documents.validate().into_iter();
        let documents = documents.map(|found| Problem::new(found.path, found.message).within("documents"));
        let no_model = self.documents.models.is_empty().then(|| {
            let message = "is empty; add a table for each model that text is cut for";
            Problem::new("documents.models", message)
        });
        blobs.chain(documents).chain(no_model).collect()
    }
}

#[cfg(test)]
mod tests {
    use workflow_types::request::DEFAULT_MODEL;

    use super::*;

    fn filled(home: &str) -> DataWorkerOptions {
        let mut options = DataWorkerOptions::default();
        options.fill(&Surroundings::of(&[("HOME".into(), home.into())]));
        options
    }

    #[test]
    fn with_no_configuration_everything_is_in_the_user_s_folders() {
        let options = filled("/home/me");
        assert_eq!(
            options.blob_store.url,
            "file:///home/me/.local/state/temporal-ai-workers/blobs/"
        );
        assert!(options.documents.models.contains_key(DEFAULT_MODEL));
        assert_eq!(options.validate(), []);
        let files = options.files();
        assert!(files.iter().all(|file| file.path.starts_with("/home/me/.cache")));
        assert_eq!(files.len(), 1);
    }

    #[test]
    fn without_a_home_folder_every_place_has_to_be_set() {
        let found = filled("").validate().into_iter();
        let keys: Vec<_> = found.map(|problem| problem.key).collect();
        assert_eq!(keys, ["blob_store.url", "documents.models"]);
    }
}
