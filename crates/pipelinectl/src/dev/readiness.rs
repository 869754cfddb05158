//! A worker's `/readyz`, asked without an HTTP library: one request, one status line.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(2);

/// Tells whether the worker says that it is ready.
pub(super) async fn is_ready(address: SocketAddr) -> bool {
    matches!(timeout(PATIENCE, status(address)).await, Ok(Ok(200)))
}

async fn status(address: SocketAddr) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await?;
    Ok(parse(&head).unwrap_or(0))
}

/// Reads the code out of `HTTP/1.1 200`.
fn parse(head: &[u8]) -> Option<u16> {
    std::str::from_utf8(head.strip_prefix(b"HTTP/1.1 ")?)
        .ok()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn answer(text: &'static str) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 512];
            let count = stream.read(&mut request).await.unwrap();
            assert!(request[..count].starts_with(b"GET /readyz HTTP/1.1\r\n"));
            stream.write_all(text.as_bytes()).await.unwrap();
        };
        tokio::join!(is_ready(address), server).0
    }

    #[tokio::test]
    async fn only_200_is_ready() {
        assert!(answer("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await);
        assert!(!answer("HTTP/1.1 503 Service Unavailable\r\n\r\n").await);
        assert!(!answer("SSH-2.0-something\r\n").await);
    }

    #[tokio::test]
    async fn nobody_is_not_ready() {
        assert!(!is_ready(SocketAddr::from(([127, 0, 0, 1], 1))).await);
    }
}
