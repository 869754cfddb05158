//! TLS: who is trusted, and what has been sent when the handshake fails.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use model_clients::openai::Options;
use model_clients::prices::Prices;
use model_clients::{CallOutcome, ErrorKind};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::fake::document;
use crate::{Call, assert_discreet, options};

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

fn server_config() -> Arc<rustls::ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificate = CertificateDer::from_pem_file(data("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(data("server-key.pem")).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Arc::new(config)
}

/// Serves one connection; gives the bytes of the request that arrived, or none where the handshake failed.
fn serve_once(listener: &TcpListener) -> Option<usize> {
    let (socket, _) = listener.accept().unwrap();
    let connection = rustls::ServerConnection::new(server_config()).unwrap();
    let mut stream = rustls::StreamOwned::new(connection, socket);
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.ends_with(b"}") {
        let bytes = stream.read(&mut buffer).ok().filter(|bytes| *bytes > 0)?;
        request.extend_from_slice(&buffer[..bytes]);
    }
    let body = r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}"#;
    stream.write_all(&document(body)).unwrap();
    stream.conn.send_close_notify();
    stream.flush().unwrap();
    Some(request.len())
}

fn secure(listener: &TcpListener, root: &str) -> Options {
    let port = listener.local_addr().unwrap().port();
    Options {
        ca_file: Some(data(root)),
        ..options(format!("https://localhost:{port}/v1"))
    }
}

#[tokio::test]
async fn a_server_that_the_given_root_vouches_for_is_called() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = secure(&listener, "trusted-root.pem");
    let server = tokio::task::spawn_blocking(move || serve_once(&listener));
    assert_eq!(Call::default().run(options).await.unwrap().text, "hi");
    assert!(server.await.unwrap().is_some());
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_sent_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = secure(&listener, "other-root.pem");
    let server = tokio::task::spawn_blocking(move || serve_once(&listener));
    let error = Call::default().run(options).await.unwrap_err();
    assert_eq!(
        (error.kind, error.billing),
        (ErrorKind::Transport, CallOutcome::NotSent)
    );
    assert_discreet(&error);
    assert_eq!(server.await.unwrap(), None);
}

#[tokio::test]
async fn a_handshake_that_stalls_ends_with_the_connect_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = secure(&listener, "trusted-root.pem");
    options.timeouts.connect_seconds = 0.1;
    let error = Call::default().run(options).await.unwrap_err();
    assert_eq!(
        (error.kind, error.billing),
        (ErrorKind::Transport, CallOutcome::NotSent)
    );
    assert!(error.message.contains("connect_seconds"), "{error}");
}

#[tokio::test]
async fn a_missing_certificate_file_is_named_at_start_up() {
    let mut options = options("https://localhost:1/v1".into());
    options.ca_file = Some(data("nowhere.pem"));
    let error = model_clients::openai::Client::new(options, &Prices::shipped().unwrap())
        .await
        .unwrap_err();
    assert!(format!("{:#}", anyhow::Error::new(error)).contains("nowhere.pem"));
}
