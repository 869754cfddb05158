//! The provider that a test holds: a port, a script that may be exchanged, limits, and the account.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use crate::account::{Account, Record};
use crate::bill::Price;
use crate::clock::{Clock, unix_ms};
use crate::limits::{Limit, Limits};
use crate::script::{Deck, Script};

mod desk;
mod serving;

use desk::Desk;
use serving::{Shared, serve};

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
    /// A chance of the script cannot be one.
    #[error("chances[{place}] of the script is not within 100 per cent with those before it; lower it")]
    Chance {
        /// Its place among the chances, counted from 0.
        place: usize,
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
    /// What it lets through; for each request the first that is for its model holds.
    pub limits: Vec<Limit>,
    /// What it charges; for each call the first that is for its model counts.
    pub prices: Vec<Price>,
    /// What chances and latencies are drawn by; one is made up when absent.
    pub seed: Option<u64>,
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
            limits: Vec::new(),
            prices: Vec::new(),
            seed: None,
            api_key: None,
            key_header: "idempotency-key".to_owned(),
        }
    }
}

/// A provider that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Provider {
    address: SocketAddr,
    seed: u64,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

impl Provider {
    /// Starts a provider; it takes requests when this returns.
    ///
    /// # Errors
    /// [`Error::Listen`] when the port is taken, [`Error::Log`] or [`Error::LogLine`] when the log is unusable,
    /// [`Error::Chance`] when the script's chances are above 100 per cent.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let port = options.port;
        if let Some(place) = options.script.impossible_chance() {
            return Err(Error::Chance { place });
        }
        let seed = options
            .seed
            .unwrap_or_else(|| RandomState::new().build_hasher().finish());
        let listen = |source| Error::Listen { port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let account = Account::open(options.log.as_ref(), unix_ms(), seed)?;
        let records = account.records().borrow().clone();
        let desk = Desk::new(options.script, Limits::new(options.limits), seed, &records);
        let shared = Arc::new(Shared {
            desk: Mutex::new(desk),
            account,
            gates: watch::Sender::default(),
            prices: options.prices,
            api_key: options.api_key,
            key_header: options.key_header,
            clock: Clock::new(),
        });
        let serving = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Ok(Self {
            address,
            seed,
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

    /// Gives the seed that chances and latencies are drawn by, to print it where it may be needed again.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Gives the calls received so far, in their order.
    pub fn requests(&self) -> Vec<Record> {
        self.shared.account.records().borrow().clone()
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

    /// Exchanges the script for what is received from now on; calls that run go on as they were, and limits too.
    pub async fn set_script(&self, script: Script) {
        self.shared.desk.lock().await.deck = Deck::new(script);
    }

    /// Exchanges the limits for what is received from now on; what was used of the old ones is forgotten.
    pub async fn set_limits(&self, limits: Vec<Limit>) {
        self.shared.desk.lock().await.limits = Limits::new(limits);
    }

    /// Lets the replies behind this gate go, those that wait and those to come.
    pub fn open_gate(&self, gate: impl Into<String>) {
        self.shared.gates.send_modify(|open| {
            open.insert(gate.into());
        });
    }

    /// Stops it, cutting what runs; the port is free and the account written when this returns.
    pub async fn stop(mut self) {
        self.serving.abort();
        // Nothing but the abort can come of it, and that is what was wanted.
        drop((&mut self.serving).await);
        self.shared.account.close().await;
    }

    async fn wait_until(&self, done: impl Fn(&[Record]) -> bool) -> Vec<Record> {
        let mut records = self.shared.account.records().subscribe();
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
