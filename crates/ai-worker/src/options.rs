//! What the ai-worker is told, and what it does when it is told nothing.
//!
//! With no configuration at all it keeps its journal and its blobs in the user's state folder and runs the local model
//! that set-up unpacked; anything else is set explicitly. Where a hosted model is set and nothing was unpacked, as in an
//! image for a cluster, there is no local model, because one without a file would only fail later.

use std::{collections::BTreeMap, path::PathBuf};

use activity_context::with_sources;
use local_models::ModelOptions;
use model_clients::{
    anthropic, openai,
    prices::{self, Prices},
};
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
    /// What calls cost.
    pub prices: PriceOptions,
    /// How answers are kept.
    pub answers: AnswerOptions,
}

/// What calls cost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PriceOptions {
    /// A price table of your own, a TOML file. A model's `billing` comes before it, the list prices that are shipped after
    /// it; a table in another currency than theirs replaces them.
    #[schemars(extend(
        "format" = "path",
        "x-unset" = "the list prices that are shipped",
        "examples" = ["/etc/ai-worker/prices.toml"]
    ))]
    pub file: Option<PathBuf>,
}

/// How answers are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AnswerOptions {
    /// The largest answer that the journal keeps itself, in bytes of JSON. A larger one goes to the blob store, under
    /// `shared/`, and the journal keeps the reference.
    pub journal_inline_bytes: usize,
}

impl Default for AnswerOptions {
    fn default() -> Self {
        Self {
            journal_inline_bytes: 64 * 1024,
        }
    }
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
    /// Services with the Anthropic protocol, under names of your choice.
    #[schemars(extend(
        "x-unset" = "no hosted model",
        "examples" = [{"main": {
            "base_url": "https://models.example/v1",
            "models": {"claude-haiku-4-5": {"context_window": 200_000}}
        }}]
    ))]
    pub anthropic: BTreeMap<String, anthropic::Options>,
}

/// A hosted service, whatever protocol it speaks.
struct Hosted<'o> {
    /// Its section's path.
    place: String,
    /// Its name in model references.
    name: &'o str,
    problems: Vec<model_clients::settings::Problem>,
    files: Vec<(String, PathBuf)>,
}

impl Sections for AiWorkerOptions {
    fn fill(&mut self, surroundings: &Surroundings) {
        if let Some(places) = &surroundings.places {
            if self.journal.url.is_empty() {
                self.journal.url = format!("sqlite://{}", places.state().join("journal.db").display());
            }
            if self.models.local.models.is_empty() {
                let (name, model) = ModelOptions::bundled(places.cache());
                if !self.models.has_hosted() || model.path.is_file() {
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
        let hosted = self.models.hosted(None).into_iter().flat_map(|hosted| {
            let Hosted { place, files, .. } = hosted;
            let files = files.into_iter();
            files.map(move |(key, path)| NamedFile::new(format!("{place}.{key}"), path))
        });
        let prices = self.prices.file.iter();
        let prices = prices.map(|path| NamedFile::new("prices.file", path));
        let blobs = self.blob_store.files().into_iter();
        local
            .chain(hosted)
            .chain(prices)
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
        let (prices, unusable) = self.prices.read();
        let hosted = self
            .models
            .hosted(prices.as_ref())
            .into_iter()
            .flat_map(|hosted| {
                let Hosted { place, problems, .. } = hosted;
                let found = problems.into_iter();
                found.map(move |found| Problem::new(found.path, found.message).within(&place))
            });
        journal
            .chain(blobs)
            .chain(local)
            .chain(hosted)
            .chain(unusable)
            .chain(self.models.ambiguous())
            .collect()
    }
}

impl PriceOptions {
    /// Reads the prices, so that a model without one is found before the worker starts; or says why they can't be used.
    fn read(&self) -> (Option<Prices>, Option<Problem>) {
        match Prices::load(self.file.as_deref()) {
            Ok(prices) => (Some(prices), None),
            // A file that is not there is told of with all others.
            Err(prices::Error::Read { .. }) => (None, None),
            Err(error) => (None, Some(Problem::new("prices.file", with_sources(&error)))),
        }
    }
}

impl Models {
    fn has_hosted(&self) -> bool {
        !self.openai.is_empty() || !self.anthropic.is_empty()
    }

    /// Gives all hosted services with what is wrong with them, missing prices too where the tables are given.
    fn hosted(&self, prices: Option<&Prices>) -> Vec<Hosted<'_>> {
        let openai = self.openai.iter().map(|(section, options)| Hosted {
            place: format!("models.openai.{section}"),
            name: &options.name,
            problems: options
                .validate()
                .into_iter()
                .chain(
                    prices
                        .into_iter()
                        .flat_map(|prices| options.price_problems(prices)),
                )
                .collect(),
            files: options.files(),
        });
        let anthropic = self.anthropic.iter().map(|(section, options)| Hosted {
            place: format!("models.anthropic.{section}"),
            name: &options.name,
            problems: options
                .validate()
                .into_iter()
                .chain(
                    prices
                        .into_iter()
                        .flat_map(|prices| options.price_problems(prices)),
                )
                .collect(),
            files: options.files(),
        });
        openai.chain(anthropic).collect()
    }

    /// Says where nobody would answer, or where one provider would silently take the place of another.
    fn ambiguous(&self) -> Vec<Problem> {
        if self.local.models.is_empty() && !self.has_hosted() {
            let message =
                "nobody answers; add models.openai.NAME, models.anthropic.NAME or models.local.models.NAME";
            return vec![Problem::new("models", message)];
        }
        let mut taken = BTreeMap::from([(local_models::provider::NAME, "models.local".to_owned())]);
        let mut problems = Vec::new();
        for Hosted { place, name, .. } in self.hosted(None) {
            if let Some(first) = taken.get(name) {
                let message = format!(
                    "is `{name}`, by which model references mean {first}; give each provider a name of its own"
                );
                problems.push(Problem::new(format!("{place}.name"), message));
            } else {
                taken.insert(name, place);
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests;
