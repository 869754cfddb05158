//! One endpoint over HTTP: everything of a call that is the same whatever protocol is spoken.
//!
//! The protocols differ in the body that is sent and in what an answer's events mean. The rest (the key, the headers,
//! the limits, what is a refusal, what is known after a failure) decides about money, so it is here, once.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use reqwest::Response;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::draft::Draft;
use super::flight::Flight;
use super::reader::Reader;
use super::reading::{self, Assembly, Form};
use super::{ClientSettings, client};
use crate::key;
use crate::provider::{self, CallOutcome, ErrorKind, GenerateCall, GenerateResponse};
use crate::quoted::Confidential;
use crate::refusal::Complaint;
use crate::settings::{Timeouts, duration};
use crate::setup;

/// The most bytes of a refusal's body that are read.
const MAX_REFUSAL_BYTES: u64 = 64 * 1024;

/// The options that every endpoint has, whatever it speaks.
#[derive(Clone, Copy)]
pub(crate) struct Common<'o> {
    pub(crate) name: &'o str,
    pub(crate) base_url: &'o str,
    /// What is appended to `base_url`.
    pub(crate) path: &'static [&'static str],
    pub(crate) allow_plain_http: bool,
    pub(crate) api_key_file: Option<&'o Path>,
    pub(crate) api_key: Option<&'o SecretString>,
    /// The header that the key travels in.
    pub(crate) key_header: KeyHeader,
    pub(crate) key_name: &'o str,
    pub(crate) extra_headers: &'o BTreeMap<String, SecretString>,
    /// Headers that the protocol's client sets itself, in lower case.
    pub(crate) own_headers: &'static [&'static str],
    pub(crate) proxy: Option<&'o SecretString>,
    pub(crate) ca_file: Option<&'o Path>,
    pub(crate) streaming: bool,
    pub(crate) timeouts: Timeouts,
    pub(crate) max_response_bytes: u64,
}

/// The header that a key travels in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyHeader {
    /// `authorization: Bearer …`.
    Bearer,
    /// `x-api-key: …`.
    XApiKey,
}

impl KeyHeader {
    pub(crate) fn name(self) -> HeaderName {
        match self {
            Self::Bearer => AUTHORIZATION,
            Self::XApiKey => HeaderName::from_static("x-api-key"),
        }
    }

    fn value(self, key: &str) -> Result<HeaderValue, reqwest::header::InvalidHeaderValue> {
        let mut value = match self {
            Self::Bearer => HeaderValue::try_from(format!("Bearer {key}"))?,
            Self::XApiKey => HeaderValue::try_from(key)?,
        };
        value.set_sensitive(true);
        Ok(value)
    }
}

/// What a protocol sends for one request.
pub(crate) struct Outgoing {
    pub(crate) body: Vec<u8>,
    /// Headers of this request alone.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

/// How the answers of an endpoint are put together.
pub(crate) trait Protocol: Sync {
    /// What a successful answer is, for an error that says what came instead.
    const EXPECTED: &'static str;

    /// An answer in the making.
    type Answer<'c>: Assembly + Send;

    /// Begins an answer.
    fn begin<'c>(&self, draft: Draft<'c>) -> Self::Answer<'c>;
}

/// An endpoint that is ready to be called.
pub(crate) struct Endpoint {
    url: Url,
    headers: HeaderMap,
    key: key::Source,
    key_header: KeyHeader,
    http: reqwest::Client,
    timeouts: Timeouts,
    streaming: bool,
    max_response_bytes: u64,
}

/// One call: what it asks, where it stands, and what its errors must not repeat.
#[derive(Clone, Copy)]
struct Turn<'c> {
    call: &'c GenerateCall<'c>,
    flight: &'c Flight,
    confidential: Confidential<'c>,
}

impl Endpoint {
    /// Sets up an endpoint from options that have been validated, and reads its key once, so that a missing key file
    /// is noticed at start-up.
    pub(crate) async fn new(
        url: Url,
        common: Common<'_>,
        own: Vec<(HeaderName, HeaderValue)>,
    ) -> Result<Self, setup::Error> {
        let key = match (common.api_key_file, common.api_key) {
            (Some(path), _) => key::Source::File(path.to_owned()),
            (None, Some(key)) => key::Source::Fixed(key.clone()),
            (None, None) => key::Source::None,
        };
        key.load().await?;
        let http = client(ClientSettings {
            plain_http: url.scheme() == "http",
            proxy: common.proxy,
            ca_file: common.ca_file,
            connect: duration(common.timeouts.connect_seconds),
        })?;
        Ok(Self {
            url,
            headers: fixed_headers(&common, own),
            key,
            key_header: common.key_header,
            http,
            timeouts: common.timeouts,
            streaming: common.streaming,
            max_response_bytes: common.max_response_bytes,
        })
    }

    pub(crate) fn host(&self) -> Option<&str> {
        self.url.host_str()
    }

    /// Makes one call: sends, reads, and says what became of it.
    pub(crate) async fn exchange<P: Protocol>(
        &self,
        protocol: &P,
        call: &GenerateCall<'_>,
        outgoing: Outgoing,
    ) -> Result<GenerateResponse, provider::Error> {
        let flight = Flight::start(self.timeouts, call.deadline, call.cancel.clone());
        let key = self.key.load().await.map_err(|error| {
            provider::Error::new(ErrorKind::Auth, CallOutcome::NotSent, error.to_string()).with_source(error)
        })?;
        let turn = Turn {
            call,
            flight: &flight,
            confidential: Confidential {
                messages: &call.request.messages,
                key: key.as_ref().map(ExposeSecret::expose_secret),
            },
        };
        let request = self.request(turn, outgoing)?;
        self.converse(protocol, turn, request)
            .await
            .map_err(|error| flight.with_heard(error))
    }

    async fn converse<P: Protocol>(
        &self,
        protocol: &P,
        turn: Turn<'_>,
        request: reqwest::Request,
    ) -> Result<GenerateResponse, provider::Error> {
        let response = turn.flight.send(&self.http, request).await?;
        if response.status().is_success() {
            self.read(protocol, turn, response).await
        } else {
            Err(refused(turn, response).await)
        }
    }

    fn request(&self, turn: Turn<'_>, outgoing: Outgoing) -> Result<reqwest::Request, provider::Error> {
        let unbuildable = |_| {
            let message = "the request's headers cannot be built; check the key and extra_headers";
            provider::Error::new(ErrorKind::Internal, CallOutcome::NotSent, message)
        };
        let mut headers = self.headers.clone();
        for (name, value) in outgoing.headers {
            headers.append(name, value);
        }
        // Known ahead, because servers exist that refuse a body without its length.
        headers.insert(CONTENT_LENGTH, HeaderValue::from(outgoing.body.len()));
        if let Some(key) = turn.confidential.key {
            let value = self.key_header.value(key).map_err(unbuildable)?;
            headers.insert(self.key_header.name(), value);
        }
        let mut request = reqwest::Request::new(reqwest::Method::POST, self.url.clone());
        *request.headers_mut() = headers;
        *request.body_mut() = Some(turn.flight.body(Bytes::from(outgoing.body)));
        Ok(request)
    }

    async fn read<P: Protocol>(
        &self,
        protocol: &P,
        turn: Turn<'_>,
        response: Response,
    ) -> Result<GenerateResponse, provider::Error> {
        let form = Form::of(&response, self.streaming);
        let mut body = Reader::new(turn.flight, response, self.max_response_bytes);
        let draft = Draft::new(turn.flight, turn.confidential, turn.call.deltas.as_ref());
        let mut answer = protocol.begin(draft);
        match form {
            Form::Stream => {
                let report = |progress| {
                    turn.call.progress.send_replace(progress);
                };
                reading::stream(&mut answer, &mut body, report).await?;
            }
            Form::Document => reading::document(&mut answer, &mut body).await?,
            Form::Other(media_type) => {
                let expected = P::EXPECTED;
                let message = format!("the answer is {media_type}, not a {expected}; check base_url");
                return Err(turn.flight.error(ErrorKind::StreamBroken, message));
            }
        }
        Ok(answer.finish(turn.call.request))
    }
}

async fn refused(turn: Turn<'_>, response: Response) -> provider::Error {
    let status = response.status();
    let body = Reader::new(turn.flight, response, MAX_REFUSAL_BYTES)
        .read_what_comes()
        .await;
    Complaint::from_body(&body)
        .refused(status, turn.confidential)
        .with_retry_after(turn.flight.heard().wait)
}

/// Headers that are the same for every call. The options have been validated, so none is left out here.
fn fixed_headers(common: &Common<'_>, own: Vec<(HeaderName, HeaderValue)>) -> HeaderMap {
    let extra = common.extra_headers.iter().filter_map(|(name, value)| {
        let mut value = HeaderValue::from_str(value.expose_secret()).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::try_from(name).ok()?, value))
    });
    let accept = if common.streaming {
        "text/event-stream, application/json"
    } else {
        "application/json"
    };
    let mut headers: HeaderMap = extra.chain(own).collect();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    headers
}
