//! A client that is a bare socket: a real one would hide the half-sent bodies and resets that the tests are about.

use std::net::SocketAddr;

use chaos_provider::{Options, Provider, Rule, Script};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) const OPENAI: &str = "/v1/chat/completions";
pub(crate) const ANTHROPIC: &str = "/v1/messages";
const VERSION: &str = "anthropic-version: 2023-06-01\r\n";

pub(crate) async fn provider(rules: impl IntoIterator<Item = Rule>) -> Provider {
    let script = Script::new(rules);
    Provider::start(Options {
        script,
        ..Options::default()
    })
    .await
    .unwrap()
}

pub(crate) fn with(mut body: Value, more: &Value) -> Value {
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    body
}

pub(crate) fn request(prompt: &str, more: &Value) -> Value {
    with(
        json!({"model": "m", "messages": [{"role": "user", "content": prompt}]}),
        more,
    )
}

pub(crate) fn streamed(prompt: &str) -> Value {
    request(
        prompt,
        &json!({"stream": true, "stream_options": {"include_usage": true}}),
    )
}

/// A request to the Messages API.
pub(crate) fn message(prompt: &str, more: &Value) -> Value {
    with(request(prompt, &json!({"max_tokens": 1_000})), more)
}

pub(crate) fn raw(body: &Value, headers: &str) -> Vec<u8> {
    raw_to(OPENAI, body, headers)
}

pub(crate) fn raw_to(path: &str, body: &Value, headers: &str) -> Vec<u8> {
    let body = body.to_string();
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\ncontent-length: {length}\r\n{headers}\r\n{body}").into_bytes()
}

/// Sends one request on a connection of its own and reads until the provider closes it.
pub(crate) async fn exchange(address: SocketAddr, body: &Value, headers: &str) -> std::io::Result<Response> {
    exchange_raw(address, &raw(body, &format!("connection: close\r\n{headers}"))).await
}

/// Does the same with the Messages API.
pub(crate) async fn converse(address: SocketAddr, body: &Value, headers: &str) -> std::io::Result<Response> {
    let headers = format!("connection: close\r\n{VERSION}{headers}");
    exchange_raw(address, &raw_to(ANTHROPIC, body, &headers)).await
}

pub(crate) async fn exchange_raw(address: SocketAddr, request: &[u8]) -> std::io::Result<Response> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    Ok(Response::parse(&bytes))
}

pub(crate) struct Response {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .expect("a whole head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self {
            status,
            head,
            body: bytes[end + 4..].to_vec(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The body of a chunked response without its chunk marks, and whether its last chunk came.
    pub(crate) fn unchunked(&self) -> (Vec<u8>, bool) {
        let (mut rest, mut body) = (self.body.as_slice(), Vec::new());
        while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
            let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
            if size == 0 {
                return (body, true);
            }
            body.extend_from_slice(&rest[end + 2..end + 2 + size]);
            rest = &rest[end + 4 + size..];
        }
        (body, false)
    }

    pub(crate) fn events(&self) -> Vec<String> {
        let text = String::from_utf8(self.unchunked().0).unwrap();
        text.split_terminator("\n\n")
            .map(|event| event.strip_prefix("data: ").unwrap().to_owned())
            .collect()
    }

    /// The text of a stream and its last finish reason.
    pub(crate) fn told(&self) -> (String, Option<String>) {
        let chunks: Vec<Value> = self
            .events()
            .iter()
            .filter_map(|event| serde_json::from_str(event).ok())
            .collect();
        let choices = || chunks.iter().map(|chunk| &chunk["choices"][0]);
        let text = choices()
            .filter_map(|choice| choice["delta"]["content"].as_str())
            .collect();
        let finish = choices()
            .filter_map(|choice| choice["finish_reason"].as_str())
            .next_back()
            .map(str::to_owned);
        (text, finish)
    }

    /// The events of a stream of the Messages API; the name of each is also the type in its data.
    pub(crate) fn named_events(&self) -> Vec<(String, Value)> {
        let text = String::from_utf8(self.unchunked().0).unwrap();
        let event = |event: &str| {
            let (name, data) = event.split_once('\n').unwrap();
            let name = name.strip_prefix("event: ").unwrap().to_owned();
            let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(data["type"], name.as_str());
            (name, data)
        };
        text.split_terminator("\n\n").map(event).collect()
    }
}
