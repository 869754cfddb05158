//! The client for servers that speak OpenAI's chat completions.
//!
//! Hosted services, gateways and most local model servers speak this form, so one client reaches them all; their
//! differences are settings ([`Options`]). A generated or vendor's client would bring retries, types for a hundred
//! other endpoints and errors that hide whether a request was sent, which is the one thing that has to be known here.

mod answer;
mod options;
mod refusal;
mod wire;

use std::fmt;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::key;
use crate::provider::{
    self, CallOutcome, ErrorKind, GenerateCall, GenerateRequest, GenerateResponse, ModelInfo, ModelProvider,
};
use crate::quoted::Confidential;
use crate::retry_after;
use crate::settings::{Problem, duration};
use crate::transport::{self, ClientSettings, Flight, Reader};

use self::answer::Answer;
pub use self::options::{MaxTokensField, ModelOptions, Options, StructuredOutput};
use self::refusal::Complaint;

/// The most bytes of a refusal's body that are read.
const MAX_REFUSAL_BYTES: u64 = 64 * 1024;

/// A client that cannot be made from its options.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Settings are wrong.
    #[error("the settings of an OpenAI-compatible provider are wrong: {}", list(.0))]
    Options(Vec<Problem>),
    /// The key cannot be used.
    #[error("the key of an OpenAI-compatible provider cannot be used")]
    Key(#[from] key::Error),
    /// The HTTP client cannot be set up.
    #[error("the HTTP client of an OpenAI-compatible provider cannot be set up")]
    Transport(#[from] transport::Error),
}

fn list(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// A provider behind an OpenAI-compatible endpoint.
pub struct Client {
    options: Options,
    endpoint: Url,
    headers: HeaderMap,
    key: key::Source,
    http: reqwest::Client,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("name", &self.options.name)
            .field("host", &self.endpoint.host_str())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a client and reads its key once, so that a missing key file is noticed at start-up.
    ///
    /// # Errors
    /// When settings are wrong, the key cannot be read, or TLS cannot be set up.
    pub async fn new(options: Options) -> Result<Self, Error> {
        let problems = options.validate();
        let endpoint = match options.endpoint() {
            Ok(endpoint) if problems.is_empty() => endpoint,
            Ok(_) | Err(_) => return Err(Error::Options(problems)),
        };
        let key = match (&options.api_key_file, &options.api_key) {
            (Some(path), _) => key::Source::File(path.clone()),
            (None, Some(key)) => key::Source::Fixed(key.clone()),
            (None, None) => key::Source::None,
        };
        key.load().await?;
        let http = transport::client(ClientSettings {
            plain_http: endpoint.scheme() == "http",
            proxy: options.proxy.as_ref(),
            ca_file: options.ca_file.as_deref(),
            connect: duration(options.timeouts.connect_seconds),
        })?;
        let headers = fixed_headers(&options);
        Ok(Self {
            options,
            endpoint,
            headers,
            key,
            http,
        })
    }

    /// Checks what the server would refuse anyway, before anything is sent.
    fn check(&self, request: &GenerateRequest) -> Result<(), provider::Error> {
        let model = self.model(&request.model)?;
        let refuse = |message: String| {
            Err(provider::Error::new(
                ErrorKind::InvalidRequest,
                CallOutcome::NotSent,
                message,
            ))
        };
        let most = model.max_output_tokens.unwrap_or(model.context_window);
        if request.messages.is_empty() {
            return refuse("the request has no messages".to_owned());
        }
        if request.max_output_tokens == 0 || request.max_output_tokens > most {
            return refuse(format!(
                "max_output_tokens is {}; model {} allows 1 to {most}",
                request.max_output_tokens, model.name
            ));
        }
        let is_number = |value: Option<f64>| value.is_none_or(f64::is_finite);
        if !is_number(request.temperature) || !is_number(request.top_p) {
            return refuse("temperature and top_p must be numbers".to_owned());
        }
        Ok(())
    }

    fn request(
        &self,
        flight: &Flight,
        body: Vec<u8>,
        key: Option<&SecretString>,
    ) -> Result<reqwest::Request, provider::Error> {
        let unbuildable = |_| {
            let message = "the request's headers cannot be built; check the key and extra_headers";
            provider::Error::new(ErrorKind::Internal, CallOutcome::NotSent, message)
        };
        let mut headers = self.headers.clone();
        // Known ahead, because servers exist that refuse a body without its length.
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        if let Some(key) = key {
            let mut value =
                HeaderValue::try_from(format!("Bearer {}", key.expose_secret())).map_err(unbuildable)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut request = reqwest::Request::new(reqwest::Method::POST, self.endpoint.clone());
        *request.headers_mut() = headers;
        *request.body_mut() = Some(flight.body(Bytes::from(body)));
        Ok(request)
    }

    async fn read(
        &self,
        call: &GenerateCall<'_>,
        flight: &Flight,
        response: reqwest::Response,
        confidential: Confidential<'_>,
    ) -> Result<GenerateResponse, provider::Error> {
        let form = Form::of(&response, self.options.streaming);
        let mut body = Reader::new(flight, response, self.options.max_response_bytes);
        let mut answer = Answer::new(flight, confidential);
        match form {
            Form::Stream => {
                let event_limit = usize::try_from(self.options.max_response_bytes).unwrap_or(usize::MAX);
                let report = |progress| {
                    call.progress.send_replace(progress);
                };
                answer.read_stream(&mut body, event_limit, report).await?;
            }
            Form::Document => answer.read_document(&mut body).await?,
            Form::Other(media_type) => {
                return Err(flight.error(
                    ErrorKind::StreamBroken,
                    format!("the answer is {media_type}, not a chat completion; check base_url"),
                ));
            }
        }
        Ok(answer.finish(call.request))
    }

    async fn refused(
        &self,
        flight: &Flight,
        response: reqwest::Response,
        confidential: Confidential<'_>,
    ) -> provider::Error {
        let status = response.status();
        let wait = retry_after::from_headers(response.headers(), SystemTime::now());
        let body = Reader::new(flight, response, MAX_REFUSAL_BYTES)
            .read_what_comes()
            .await;
        Complaint::from_body(&body)
            .refused(status, confidential)
            .with_retry_after(wait)
    }
}

#[async_trait]
impl ModelProvider for Client {
    fn name(&self) -> &str {
        &self.options.name
    }

    fn model(&self, name: &str) -> Result<ModelInfo, provider::Error> {
        let Some(model) = self.options.models.get(name) else {
            let known: Vec<&str> = self.options.models.keys().map(String::as_str).collect();
            let message = format!(
                "provider {} has no model {name:?} in its settings; it has {}",
                self.options.name,
                known.join(", ")
            );
            return Err(provider::Error::new(
                ErrorKind::ModelGone,
                CallOutcome::NotSent,
                message,
            ));
        };
        Ok(ModelInfo {
            name: name.to_owned(),
            context_window: model.context_window,
            max_output_tokens: model.max_output_tokens,
            tokenizer: model.tokenizer.clone(),
            billing: model.billing.unwrap_or_default(),
            constrained_json: self.options.structured_output == StructuredOutput::JsonSchema,
        })
    }

    async fn generate(&self, call: GenerateCall<'_>) -> Result<GenerateResponse, provider::Error> {
        let flight = Flight::start(self.options.timeouts, call.deadline, call.cancel.clone());
        self.check(call.request)?;
        let body = wire::body(&self.options, call.request).map_err(|_| {
            provider::Error::new(
                ErrorKind::InvalidRequest,
                CallOutcome::NotSent,
                "the request cannot be written as JSON",
            )
        })?;
        let key = self.key.load().await.map_err(|error| {
            provider::Error::new(ErrorKind::Auth, CallOutcome::NotSent, error.to_string()).with_source(error)
        })?;
        let confidential = Confidential {
            messages: &call.request.messages,
            key: key.as_ref().map(ExposeSecret::expose_secret),
        };
        let request = self.request(&flight, body, key.as_ref())?;
        let response = flight.send(&self.http, request).await?;
        if response.status().is_success() {
            self.read(&call, &flight, response, confidential).await
        } else {
            Err(self.refused(&flight, response, confidential).await)
        }
    }
}

/// In which form an answer comes.
enum Form {
    Stream,
    Document,
    Other(String),
}

impl Form {
    /// Goes by what the server says it sends: some ignore the wish for a stream, or stream without being asked.
    fn of(response: &reqwest::Response, streaming: bool) -> Self {
        let media_type = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .map(|value| value.trim().to_ascii_lowercase());
        match media_type.as_deref() {
            Some("text/event-stream") => Self::Stream,
            Some("application/json") => Self::Document,
            Some("text/html") => Self::Other("text/html".to_owned()),
            // Servers that label a stream as plain text, or not at all, send what they were asked for.
            Some(_) | None if streaming => Self::Stream,
            Some(_) | None => Self::Document,
        }
    }
}

/// Headers that are the same for every call. The options have been validated, so none is left out here.
fn fixed_headers(options: &Options) -> HeaderMap {
    let extra = options.extra_headers.iter().filter_map(|(name, value)| {
        let mut value = HeaderValue::from_str(value.expose_secret()).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::try_from(name).ok()?, value))
    });
    let organization = options.organization.iter().filter_map(|organization| {
        let name = HeaderName::from_static("openai-organization");
        Some((name, HeaderValue::from_str(organization).ok()?))
    });
    let accept = if options.streaming {
        "text/event-stream, application/json"
    } else {
        "application/json"
    };
    let mut headers: HeaderMap = extra.chain(organization).collect();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    headers
}
