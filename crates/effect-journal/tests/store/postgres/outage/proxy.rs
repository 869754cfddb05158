//! A way to the server that loses the answer to a commit.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What a driver sends to commit: a simple query of this text.
const COMMIT: &[u8] = b"COMMIT\0";

/// A proxy before a server, for as long as the test's runtime lives.
pub(super) struct Proxy {
    port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    lose: AtomicBool,
    lost: AtomicBool,
}

impl Proxy {
    pub(super) async fn before(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let kept = state.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server, kept.clone()));
            }
        });
        Self { port, state }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn lose_the_next_commit(&self) {
        self.state.lose.store(true, Ordering::SeqCst);
    }

    pub(super) fn has_lost_it(&self) -> bool {
        self.state.lost.load(Ordering::SeqCst)
    }
}

/// Passes bytes on both ways until one side ends, or a commit is to be lost.
async fn pass(mut client: TcpStream, server: u16, state: Arc<State>) {
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await.unwrap();
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                let asked = &asked[..length];
                let commits = asked.windows(COMMIT.len()).any(|window| window == COMMIT);
                if server.write_all(asked).await.is_err() {
                    return;
                }
                if commits && state.lose.swap(false, Ordering::SeqCst) {
                    // The server has done it by the time it answers, and both sides are cut off then.
                    until_committed(&mut server).await;
                    state.lost.store(true, Ordering::SeqCst);
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn until_committed(server: &mut TcpStream) {
    let mut answers = Vec::new();
    while !answers.windows(COMMIT.len()).any(|window| window == COMMIT) {
        assert!(
            server.read_buf(&mut answers).await.unwrap() > 0,
            "the server ended"
        );
    }
}
