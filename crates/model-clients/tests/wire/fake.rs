//! A provider at the level of bytes: it reads one request and then does what its script says.
//!
//! An HTTP server library would refuse to send half of what makes these cases, so this one writes to the socket.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the provider does after it has read a request.
#[derive(Clone)]
pub(crate) enum Step {
    /// Writes these bytes.
    Send(Vec<u8>),
    /// Writes these bytes one at a time.
    Drip(Vec<u8>),
    /// Writes this piece until the client goes away.
    Flood(Vec<u8>),
    /// Does nothing until the client goes away.
    Stall,
    /// Resets the connection.
    Reset,
}

/// What one request held.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: serde_json::Value,
}

/// A provider that follows one script on every connection.
pub(crate) struct Fake {
    address: SocketAddr,
    seen: watch::Receiver<Vec<Seen>>,
    /// Counts the clients that went away while the script stalled.
    gone: watch::Receiver<usize>,
}

impl Fake {
    pub(crate) async fn start(script: Vec<Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (log, seen) = watch::channel(Vec::new());
        let (went, gone) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, script.clone(), log.clone(), went.clone()));
            }
        });
        Self { address, seen, gone }
    }

    pub(crate) async fn answering(bytes: impl Into<Vec<u8>>) -> Self {
        Self::start(vec![Step::Send(bytes.into())]).await
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    /// Waits until a request has arrived.
    pub(crate) async fn requested(&self) {
        self.seen.clone().wait_for(|seen| !seen.is_empty()).await.unwrap();
    }

    /// Waits until a client has gone away while the script stalled or flooded.
    pub(crate) async fn client_gone(&self) {
        self.gone.clone().wait_for(|count| *count > 0).await.unwrap();
    }
}

async fn serve(
    mut socket: TcpStream,
    script: Vec<Step>,
    log: watch::Sender<Vec<Seen>>,
    went: watch::Sender<usize>,
) {
    let Some(request) = read_request(&mut socket).await else {
        return;
    };
    log.send_modify(|seen| seen.push(request));
    for step in script {
        let done = match step {
            Step::Send(bytes) => socket.write_all(&bytes).await.is_ok(),
            Step::Drip(bytes) => drip(&mut socket, &bytes).await,
            Step::Flood(piece) => {
                while socket.write_all(&piece).await.is_ok() {}
                went.send_modify(|count| *count += 1);
                false
            }
            Step::Stall => {
                while socket.read(&mut [0; 64]).await.is_ok_and(|bytes| bytes > 0) {}
                went.send_modify(|count| *count += 1);
                false
            }
            Step::Reset => {
                socket.set_zero_linger().unwrap();
                false
            }
        };
        if !done {
            return;
        }
    }
    socket.shutdown().await.ok();
}

async fn drip(socket: &mut TcpStream, bytes: &[u8]) -> bool {
    socket.set_nodelay(true).unwrap();
    for byte in bytes {
        if socket.write_all(&[*byte]).await.is_err() {
            return false;
        }
        tokio::task::yield_now().await;
    }
    true
}

async fn read_request(socket: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let length = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map(|(_, value)| value.parse::<usize>().unwrap())
        .expect("a request names its length");
    while bytes.len() < end + 4 + length {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = serde_json::from_slice(&bytes[end + 4..]).unwrap();
    Some(Seen { head, body })
}

/// A whole response with its length.
pub(crate) fn response(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A whole JSON answer.
pub(crate) fn document(body: &str) -> Vec<u8> {
    response("200 OK", "content-type: application/json\r\n", body)
}

/// The head of a stream that ends when the connection does.
pub(crate) fn stream_head() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\r\n".to_vec()
}

/// A stream of these events, which ends with the connection.
pub(crate) fn stream(events: &[&str]) -> Vec<u8> {
    let mut bytes = stream_head();
    for event in events {
        bytes.extend_from_slice(format!("data: {event}\n\n").as_bytes());
    }
    bytes
}
