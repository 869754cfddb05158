//! Takes connections and requests, and carries each call from its first byte to its line in the account.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::MARKER_HEADER;
use super::desk::{Arrival, Decision, Desk};
use crate::account::{Account, Ending};
use crate::bill::{Price, make_out};
use crate::call::{Call, Protocol, sha256_hex};
use crate::clock::{Clock, millis_since, unix_ms};
use crate::http::{Incoming, Length, head, read_request};
use crate::play::{After, Played, Scene, play};
use crate::script::Behaviour;

/// The digits of a key's digest that the account keeps: enough to tell keys apart, too few to try keys by.
const KEY_DIGITS: usize = 8;

/// What all connections of a provider share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) desk: Mutex<Desk>,
    pub(super) account: Account,
    pub(super) gates: watch::Sender<BTreeSet<String>>,
    pub(super) prices: Vec<Price>,
    pub(super) api_key: Option<String>,
    pub(super) key_header: String,
    pub(super) clock: Clock,
}

pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    // Dropped with this future, which ends every connection.
    let mut connections = JoinSet::new();
    let mut number = 0;
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                number += 1;
                connections.spawn(converse(stream, number, Arc::clone(&shared)));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Takes one request after another from a connection.
async fn converse(mut stream: TcpStream, connection: u64, shared: Arc<Shared>) {
    let mut buffer = Vec::new();
    // A token goes out when it is told, not when the one before it was acknowledged.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    // An error here is a client that left or does not speak HTTP: no call was received.
    while let Ok(Some(request)) = read_request(&mut stream, &mut buffer).await {
        let after = match protocol(&request) {
            Some(protocol) => shared.call(&mut stream, connection, &request, protocol).await,
            None => side(&mut stream, &request).await,
        };
        let closes = request
            .header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        match after {
            Ok(After::Keep) if !closes => {}
            Ok(After::Keep | After::Close) | Err(_) => return,
            Ok(After::Reset) => {
                drop(stream.set_zero_linger());
                return;
            }
        }
    }
}

/// The protocol whose calls go to this address; none for everything else.
fn protocol(request: &Incoming) -> Option<Protocol> {
    let path = path(request);
    let ends = |end| request.method == "POST" && path.ends_with(end);
    match () {
        () if ends("/chat/completions") => Some(Protocol::OpenAi),
        () if ends("/messages") => Some(Protocol::Anthropic),
        () => None,
    }
}

/// The address without its query.
fn path(request: &Incoming) -> &str {
    request
        .path
        .split_once('?')
        .map_or(request.path.as_str(), |(path, _)| path)
}

/// Answers what is no call: the list of models, a health check, and everything unknown.
async fn side(stream: &mut TcpStream, request: &Incoming) -> io::Result<After> {
    let (status, body) = match (request.method.as_str(), path(request)) {
        ("GET", "/v1/models") => (
            200,
            r#"{"object":"list","data":[{"id":"chaos","object":"model"}]}"#,
        ),
        ("GET", "/health") => (200, r#"{"status":"ok"}"#),
        _ => (
            404,
            r#"{"error":{"message":"No such path.","type":"invalid_request_error","code":"not_found"}}"#,
        ),
    };
    let head = head(status, "application/json", Length::Bytes(body.len()), &[]);
    stream
        .write_all(&[head.as_bytes(), body.as_bytes()].concat())
        .await?;
    Ok(After::Keep)
}

/// The key that a request bears, in the header of either protocol.
fn api_key(request: &Incoming) -> Option<&str> {
    let bearer = || request.header("authorization")?.strip_prefix("Bearer ");
    request.header("x-api-key").or_else(bearer)
}

impl Shared {
    /// Notes a call, plays its reply and notes how it ended.
    async fn call(
        &self,
        stream: &mut TcpStream,
        connection: u64,
        request: &Incoming,
        protocol: Protocol,
    ) -> io::Result<After> {
        let began = Instant::now();
        let arrival = self.arrival(request, protocol, connection);
        let (pending, scene) = {
            let mut desk = self.desk.lock().await;
            let Decision { record, scene } = desk.decide(arrival, self.clock);
            // Under the lock, because it is the place in the log that is the order of the calls.
            (self.account.received(record)?, scene)
        };
        pending.durable().await?;
        let played = play(stream, &scene, self.gates.subscribe()).await;
        self.end(&scene, began, &played).await?;
        Ok(played.after)
    }

    fn arrival(&self, request: &Incoming, protocol: Protocol, connection: u64) -> Arrival {
        let marker = request.header(MARKER_HEADER).map(str::to_owned);
        let call = Call::read(protocol, &request.body, marker.clone());
        let refused = self.refusal(request, protocol, call.is_none());
        let digest = |key: &str| sha256_hex(key.as_bytes())[..KEY_DIGITS].to_owned();
        Arrival {
            call: call.unwrap_or_else(|| Call {
                protocol,
                marker,
                ..Call::default()
            }),
            refused,
            body_sha256: sha256_hex(&request.body),
            api_key: api_key(request).map(digest),
            key: request.header(&self.key_header).map(str::to_owned),
            connection,
            received_unix_ms: unix_ms(),
        }
    }

    /// The refusal of a request that no script should see.
    fn refusal(&self, request: &Incoming, protocol: Protocol, unreadable: bool) -> Option<Behaviour> {
        if self.api_key.is_some() && self.api_key.as_deref() != api_key(request) {
            return Some(Behaviour::refused(401));
        }
        // The real one insists on it, and a client that forgets it should learn so here.
        let lacks_version = protocol == Protocol::Anthropic && request.header("anthropic-version").is_none();
        (unreadable || lacks_version).then(|| Behaviour::refused(400))
    }

    async fn end(&self, scene: &Scene, began: Instant, played: &Played) -> io::Result<()> {
        let ending = Ending {
            outcome: played.outcome,
            status: played.status,
            completion_tokens: played.sent,
            bill: make_out(&self.prices, &scene.call.model, played.cost),
            answer_sha256: played.answer_sha256.clone(),
            elapsed_ms: millis_since(began),
        };
        self.account.ended(scene.seq, ending)?.durable().await
    }
}
