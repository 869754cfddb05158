//! The models that text is cut for, with their tokenizers.
//!
//! A tokenizer is built when it is first needed and kept: the list may name models that this worker is never asked
//! for, and each takes tens of megabytes. That its file exists is checked at the start, where a wrong path can still
//! be told to whoever wrote it.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use activity_context::BlockingPool;
use documents::tokens::{self, Encoding, TokenCounter};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use workflow_types::request::ModelRef;

use crate::{Error, ModelOptions, Options, Tokenizer};

/// Reports tokenizers whose files are not there.
#[derive(Debug, thiserror::Error)]
#[error("these tokenizers' files cannot be found; correct their paths: {}", listed(.files))]
pub struct MissingFiles {
    /// The models with the files that the options name for them.
    pub files: Vec<(String, PathBuf)>,
}

/// The models of the options.
#[derive(Debug)]
pub struct Models(BTreeMap<String, Model>);

/// One model.
#[derive(Debug)]
pub(crate) struct Model {
    name: String,
    options: ModelOptions,
    counter: OnceCell<Arc<TokenCounter>>,
}

impl Models {
    /// Takes over the models of the options.
    ///
    /// # Errors
    ///
    /// The files of all tokenizers that are not there.
    pub fn open(options: &Options) -> Result<Self, MissingFiles> {
        let files: Vec<_> = options
            .models
            .iter()
            .filter_map(|(name, model)| Some((name.clone(), model.tokenizer.file()?.clone())))
            .filter(|(_, path)| !path.is_file())
            .collect();
        if !files.is_empty() {
            return Err(MissingFiles { files });
        }
        let model = |(name, options): (&String, &ModelOptions)| {
            let model = Model {
                name: name.clone(),
                options: options.clone(),
                counter: OnceCell::new(),
            };
            (name.clone(), model)
        };
        Ok(Self(options.models.iter().map(model).collect()))
    }

    pub(crate) fn find(&self, model: &ModelRef) -> Result<&Model, Error> {
        let name = model.to_string();
        self.0.get(&name).ok_or_else(|| Error::UnknownModel {
            model: name,
            known: self.0.keys().cloned().collect::<Vec<_>>().join(", "),
        })
    }
}

impl Model {
    pub(crate) fn context_window(&self) -> u32 {
        self.options.context_window
    }

    /// Gives the counter of the model's tokens, built on the pool when it is first asked for.
    pub(crate) async fn counter(
        &self,
        pool: &BlockingPool,
        cancellation: &CancellationToken,
    ) -> Result<Arc<TokenCounter>, Error> {
        let build = || async {
            let tokenizer = self.options.tokenizer.clone();
            let built = pool.run(cancellation, move |_| build(&tokenizer)).await?.value;
            built.map(Arc::new).map_err(|source| Error::Tokenizer {
                model: self.name.clone(),
                source,
            })
        };
        self.counter.get_or_try_init(build).await.cloned()
    }
}

fn build(tokenizer: &Tokenizer) -> Result<TokenCounter, tokens::Error> {
    match tokenizer {
        Tokenizer::Gguf { path } => TokenCounter::from_gguf(path),
        Tokenizer::TokenizerJson { path } => TokenCounter::from_tokenizer_json(path),
        Tokenizer::Tiktoken { encoding } => {
            encoding.parse::<Encoding>().and_then(TokenCounter::from_encoding)
        }
        Tokenizer::Estimate => Ok(TokenCounter::estimate()),
    }
}

fn listed(files: &[(String, PathBuf)]) -> String {
    let texts: Vec<_> = files
        .iter()
        .map(|(model, path)| format!("{model}: {}", path.display()))
        .collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(tokenizer: Tokenizer) -> Options {
        let model = ModelOptions {
            context_window: 2048,
            tokenizer,
        };
        Options {
            models: BTreeMap::from([("a/b".to_owned(), model)]),
            ..Options::default()
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_reported_at_the_start() {
        let gguf = Tokenizer::Gguf {
            path: "/not/there.gguf".into(),
        };
        let error = Models::open(&options(gguf)).unwrap_err();
        assert!(error.to_string().ends_with("a/b: /not/there.gguf"), "{error}");
    }

    #[tokio::test]
    async fn a_tokenizer_is_built_once_and_a_broken_one_names_its_model() {
        let models = Models::open(&options(Tokenizer::Estimate)).unwrap();
        let model = models.find(&ModelRef::parse("a/b").unwrap()).unwrap();
        let (pool, token) = (BlockingPool::new(1), CancellationToken::new());
        let first = model.counter(&pool, &token).await.unwrap();
        assert!(Arc::ptr_eq(&first, &model.counter(&pool, &token).await.unwrap()));

        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("t.json");
        std::fs::write(&path, "{}").unwrap();
        let models = Models::open(&options(Tokenizer::TokenizerJson { path })).unwrap();
        let model = models.find(&ModelRef::parse("a/b").unwrap()).unwrap();
        let error = model.counter(&pool, &token).await.unwrap_err();
        assert!(
            matches!(&error, Error::Tokenizer { model, .. } if model == "a/b"),
            "{error:?}"
        );
    }

    #[test]
    fn a_model_that_is_not_listed_is_told_which_are() {
        let models = Models::open(&options(Tokenizer::Estimate)).unwrap();
        let error = models.find(&ModelRef::parse("a/c").unwrap()).unwrap_err();
        assert!(error.to_string().contains("a/b"), "{error}");
    }
}
