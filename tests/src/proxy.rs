//! A way to a server that can be cut, as a network partition does: bytes are neither refused nor lost, they come later.
//!
//! Killing the server would tell its clients that it is gone. In a partition nobody tells anybody anything: connections
//! stay open and silent, new ones hang, and what was sent arrives once the network is whole again.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{JoinHandle, JoinSet},
};

const BLOCK_BYTES: usize = 64 << 10;

/// A proxy before a server.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    whole: watch::Sender<bool>,
    listening: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy before the server at `upstream`, `host:port`.
    ///
    /// # Errors
    ///
    /// That no port is free.
    pub async fn start(upstream: String) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (whole, seen) = watch::channel(true);
        Ok(Self {
            address: listener.local_addr()?,
            whole,
            listening: tokio::spawn(listen(listener, upstream, seen)),
        })
    }

    /// Gives the address to connect to, `host:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Lets nothing through from now on.
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// Lets everything through again, and what was held back first.
    pub fn mend(&self) {
        self.whole.send_replace(true);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(listener: TcpListener, upstream: String, whole: watch::Receiver<bool>) {
    // Dropped with this future, which ends every connection.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { return };
                connections.spawn(pass(client, upstream.clone(), whole.clone()));
            }
            // A connection that broke is for its ends to tell of.
            Some(_ended) = connections.join_next() => {}
        }
    }
}

async fn pass(client: TcpStream, upstream: String, mut whole: watch::Receiver<bool>) -> anyhow::Result<()> {
    whole.wait_for(|whole| *whole).await?;
    let server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ((client_reads, client_writes), (server_reads, server_writes)) =
        (client.into_split(), server.into_split());
    // When one way has ended, the connection has: nobody here speaks on half of one.
    tokio::select! {
        ended = copy(client_reads, server_writes, whole.clone()) => ended,
        ended = copy(server_reads, client_writes, whole) => ended,
    }
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut whole: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        let length = from.read(&mut block).await?;
        // The end of a connection is as silent as everything else.
        whole.wait_for(|whole| *whole).await?;
        if length == 0 {
            return Ok(());
        }
        to.write_all(&block[..length]).await?;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn what_is_sent_into_a_partition_comes_when_it_is_over() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let proxy = Proxy::start(server.local_addr().unwrap().to_string())
            .await
            .unwrap();
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        let (mut server, _) = server.accept().await.unwrap();
        let mut read = [0; 3];
        client.write_all(b"one").await.unwrap();
        server.read_exact(&mut read).await.unwrap();
        proxy.cut();
        client.write_all(b"two").await.unwrap();
        let silent = timeout(Duration::from_millis(200), server.read_exact(&mut read)).await;
        assert!(silent.is_err(), "{silent:?}");
        proxy.mend();
        server.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"two");
    }
}
