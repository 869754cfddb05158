//! One loaded model: weights, tokens, conversation form and constraints, checked to fit together.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Instant;

use documents::gguf;
use sha2::{Digest as _, Sha256};

use crate::constraint::Constraints;
use crate::llama::Llama;
use crate::load::{Error, Refusal};
use crate::options::ModelOptions;
use crate::provider::{TOKEN_THREADS_VARIABLE, compute_threads};
use crate::template::{self, ChatTemplate};
use crate::vocabulary::Vocabulary;

/// A model ready to answer.
pub(crate) struct Model {
    pub(crate) llama: Llama,
    pub(crate) vocabulary: Vocabulary,
    pub(crate) template: ChatTemplate,
    pub(crate) constraints: Constraints,
    /// Tokens of prompt and answer together.
    pub(crate) context_window: u32,
    /// The most tokens of one answer.
    pub(crate) max_output_tokens: Option<u32>,
}

impl Model {
    /// Loads a model; takes about a second of computing for a hundred million weights.
    pub(crate) fn load(options: &ModelOptions) -> Result<Self, Error> {
        let started = Instant::now();
        check_file(options)?;
        let model = Self::read(options).map_err(|source| Error::Refused {
            path: options.path.clone(),
            source,
        })?;
        let token_threads = compute_threads();
        tracing::info!(
            duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            context_window = model.context_window,
            token_threads,
            "loaded a local model"
        );
        if token_threads > 1 {
            tracing::warn!(
                token_threads,
                "the threads of a local model wait for each other by spinning; set {TOKEN_THREADS_VARIABLE}=1 unless \
                 this process has its processors for itself"
            );
        }
        Ok(model)
    }

    fn read(options: &ModelOptions) -> Result<Self, Refusal> {
        let metadata = gguf::read(&options.path)?;
        let context_window = context_window(options, &metadata)?;
        let template = chat_template(options, &metadata)?;
        let vocabulary = metadata
            .vocabulary
            .as_ref()
            .ok_or_else(|| Refusal::Vocabulary("the file has none".to_owned()))?;
        let vocabulary = Vocabulary::new(vocabulary)?;
        for token in template.control_tokens() {
            if vocabulary.control(token).is_none() {
                let what = format!("it has no token {token}, which its chat template needs");
                return Err(Refusal::Vocabulary(what));
            }
        }
        let constraints = Constraints::new(&vocabulary)?;
        let llama = Llama::load(&options.path)?;
        let model = Self {
            context_window: context_window.min(u32::try_from(llama.context()).unwrap_or(u32::MAX)),
            max_output_tokens: options.max_output_tokens,
            llama,
            vocabulary,
            template,
            constraints,
        };
        model.probe()?;
        Ok(model)
    }

    /// Passes one token through: tensors that do not fit each other show here and not in the first call.
    fn probe(&self) -> Result<(), Refusal> {
        let mut cache = self.llama.cache(1);
        let state = self
            .llama
            .advance(&mut cache, self.vocabulary.end().get(..1).unwrap_or(&[0]))?;
        let logits = self.llama.logits(&state)?.dims1()?;
        let tokens = self.vocabulary.len();
        if logits < tokens {
            return Err(Refusal::Vocabulary(format!(
                "{tokens} tokens, but weights for {logits}"
            )));
        }
        Ok(())
    }
}

/// Gives the context window of a model: the file's own, or less where the settings say so.
pub(crate) fn context_window(options: &ModelOptions, metadata: &gguf::Metadata) -> Result<u32, Refusal> {
    let trained = metadata
        .context_length
        .ok_or_else(|| Refusal::Unsupported("it does not say how long its context is".to_owned()))?;
    let trained = u32::try_from(trained).unwrap_or(u32::MAX);
    match options.context_window {
        None => Ok(trained),
        Some(asked) if asked <= trained => Ok(asked),
        Some(asked) => Err(Refusal::ContextWindow { asked, trained }),
    }
}

fn chat_template(options: &ModelOptions, metadata: &gguf::Metadata) -> Result<ChatTemplate, Refusal> {
    let program = metadata.chat_template.as_deref();
    options
        .chat_template
        .or_else(|| ChatTemplate::recognise(program?))
        .ok_or_else(|| Refusal::Template {
            digest: program.map_or_else(|| "none".to_owned(), template::digest),
        })
}

/// Refuses a file that is absent or is not the one that was meant.
pub(crate) fn check_file(options: &ModelOptions) -> Result<(), Error> {
    let path = || options.path.clone();
    let read = |source| Error::Read { path: path(), source };
    let mut file = match File::open(&options.path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::Missing { path: path() }),
        Err(error) => return Err(read(error)),
    };
    let Some(expected) = &options.sha256 else {
        return Ok(());
    };
    let actual = sha256(&mut file).map_err(read)?;
    if actual.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(Error::Digest {
        path: path(),
        expected: expected.clone(),
        actual,
    })
}

fn sha256(file: &mut File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = io::Read::read(file, &mut buffer)?;
        if read == 0 {
            return Ok(template::hex(&hasher.finalize()));
        }
        hasher.update(&buffer[..read]);
    }
}

/// Reads what can be told of a model without loading it.
pub(crate) fn describe(path: &Path) -> Result<gguf::Metadata, Error> {
    gguf::read(path).map_err(|source| {
        let path = path.to_owned();
        if is_absent(&source) {
            Error::Missing { path }
        } else {
            Error::Refused {
                path,
                source: source.into(),
            }
        }
    })
}

fn is_absent(error: &gguf::Error) -> bool {
    matches!(error, gguf::Error::Open { source, .. } if source.kind() == io::ErrorKind::NotFound)
}
