//! The provider that a test holds: a port, a script that may be exchanged, and the account.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::account::{Ending, Log, Record, set_ending};
use crate::answer::{Call, sha256_hex};
use crate::http::{Incoming, Length, head, read_request};
use crate::play::{After, Played, play};
use crate::script::{Behaviour, Deck, Reply, Script};

/// The header by whose value a [`When`](crate::When) may choose requests.
pub const MARKER_HEADER: &str = "x-chaos-marker";

/// A failure to start a provider or to read its log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port could not be taken.
    #[error("cannot listen on port {port} of 127.0.0.1; choose another, or 0 for any free one")]
    Listen {
        /// The port asked for.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// The log file could not be read or opened.
    #[error("cannot open the log {}; check its folder and its rights", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line of the log is not one that a provider wrote.
    #[error("line {line} of {} is no line of a provider's log; give another file", path.display())]
    LogLine {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// How a provider is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// The port on 127.0.0.1; 0 takes any free one.
    pub port: u16,
    /// Where the account is written; it is kept in memory only when absent.
    pub log: Option<PathBuf>,
    /// What it does with which request.
    pub script: Script,
    /// The key that a request must bear; any or none when absent. A wrong key is answered with 401.
    pub api_key: Option<String>,
    /// The header whose value is noted as the key of a call.
    pub key_header: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            log: None,
            script: Script::default(),
            api_key: None,
            key_header: "idempotency-key".to_owned(),
        }
    }
}

/// A provider that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Provider {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    desk: Mutex<Desk>,
    records: watch::Sender<Vec<Record>>,
    gates: watch::Sender<BTreeSet<String>>,
    api_key: Option<String>,
    key_header: String,
}

/// What is decided and written for one request at a time, so that the log has the order of the script.
#[derive(Debug)]
struct Desk {
    deck: Deck,
    log: Log,
}

impl Provider {
    /// Starts a provider; it takes requests when this returns.
    ///
    /// # Errors
    /// [`Error::Listen`] when the port is taken, [`Error::Log`] or [`Error::LogLine`] when the log is unusable.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let Options {
            port,
            log,
            script,
            api_key,
            key_header,
        } = options;
        let (log, records) = Log::open(log.as_ref()).await?;
        let listen = |source| Error::Listen { port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let shared = Arc::new(Shared {
            desk: Mutex::new(Desk {
                deck: Deck::new(script),
                log,
            }),
            records: watch::Sender::new(records),
            gates: watch::Sender::default(),
            api_key,
            key_header,
        });
        let serving = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Ok(Self {
            address,
            shared,
            serving,
        })
    }

    /// Gives the address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives the base address for a client, such as `http://127.0.0.1:8080/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Gives the calls received so far, in their order.
    pub fn requests(&self) -> Vec<Record> {
        self.shared.records.borrow().clone()
    }

    /// Waits until so many calls have been received, and gives all that have.
    pub async fn wait_for(&self, calls: usize) -> Vec<Record> {
        self.wait_until(|records| records.len() >= calls).await
    }

    /// Waits until so many calls have ended, and gives all that were received.
    pub async fn wait_ended(&self, calls: usize) -> Vec<Record> {
        let ended = |records: &[Record]| records.iter().filter(|record| record.ending.is_some()).count();
        self.wait_until(|records| ended(records) >= calls).await
    }

    /// Exchanges the script for what is received from now on; calls that run go on as they were.
    pub async fn set_script(&self, script: Script) {
        self.shared.desk.lock().await.deck = Deck::new(script);
    }

    /// Lets the replies behind this gate go, those that wait and those to come.
    pub fn open_gate(&self, gate: impl Into<String>) {
        self.shared.gates.send_modify(|open| {
            open.insert(gate.into());
        });
    }

    /// Stops it, cutting what runs; the port is free when this returns.
    pub async fn stop(mut self) {
        self.serving.abort();
        // Nothing but the abort can come of it, and that is what was wanted.
        drop((&mut self.serving).await);
    }

    async fn wait_until(&self, done: impl Fn(&[Record]) -> bool) -> Vec<Record> {
        let mut records = self.shared.records.subscribe();
        // The sender is held by `self`, so the wait cannot end without its condition.
        records
            .wait_for(|records| done(records))
            .await
            .map_or_else(|_| Vec::new(), |records| records.clone())
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
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
        let after = if request.method == "POST" && request.path.ends_with("/chat/completions") {
            shared.call(&mut stream, connection, &request).await
        } else {
            side(&mut stream, &request).await
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

/// Answers what is no call: the list of models, a health check, and everything unknown.
async fn side(stream: &mut TcpStream, request: &Incoming) -> io::Result<After> {
    let (status, body) = match (request.method.as_str(), request.path.as_str()) {
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

impl Shared {
    /// Notes a call, plays its reply and notes how it ended.
    async fn call(&self, stream: &mut TcpStream, connection: u64, request: &Incoming) -> io::Result<After> {
        let began = Instant::now();
        let marker = request.header(MARKER_HEADER).map(str::to_owned);
        let call = Call::read(&request.body, marker.clone());
        let refused = self.refusal(request, call.is_none());
        let call = call.unwrap_or_else(|| Call {
            marker,
            ..Call::default()
        });
        let (seq, reply) = self.receive(request, &call, connection, refused).await?;
        let played = play(stream, &call, seq, &reply, self.gates.subscribe()).await;
        self.end(seq, began, &played).await?;
        Ok(played.after)
    }

    /// The refusal of a request that no script should see.
    fn refusal(&self, request: &Incoming, unreadable: bool) -> Option<Behaviour> {
        let bearer = request
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "));
        if self.api_key.is_some() && self.api_key.as_deref() != bearer {
            return Some(Behaviour::refused(401));
        }
        unreadable.then(|| Behaviour::refused(400))
    }

    async fn receive(
        &self,
        request: &Incoming,
        call: &Call,
        connection: u64,
        refused: Option<Behaviour>,
    ) -> io::Result<(u64, Reply)> {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut desk = self.desk.lock().await;
        let (rule, reply) = match refused {
            Some(behaviour) => (None, Reply::new(behaviour)),
            None => desk.deck.take(call),
        };
        let record = Record {
            seq: self.records.borrow().last().map_or(1, |last| last.seq + 1),
            received_unix_ms: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
            connection,
            model: call.model.clone(),
            marker: call.marker.clone(),
            key: request.header(&self.key_header).map(str::to_owned),
            body_sha256: sha256_hex(&request.body),
            prompt_tokens: call.prompt_tokens(),
            stream: call.stream,
            rule,
            reply: reply.behaviour.kind().to_owned(),
            ending: None,
        };
        desk.log.received(&record).await?;
        let seq = record.seq;
        self.records.send_modify(|records| records.push(record));
        Ok((seq, reply))
    }

    async fn end(&self, seq: u64, began: Instant, played: &Played) -> io::Result<()> {
        let ending = Ending {
            outcome: played.outcome,
            completion_tokens: played.tokens,
            elapsed_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        self.desk.lock().await.log.ended(seq, &ending).await?;
        self.records
            .send_modify(|records| set_ending(records, seq, ending));
        Ok(())
    }
}
