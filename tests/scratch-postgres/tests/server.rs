//! A real server, started, killed, frozen and gone.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use scratch_postgres::{Options, Server};

/// Asks for TLS, which every server answers with one byte before it knows who asks.
fn answers(server: &Server, within: Duration) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", server.port())) else {
        return false;
    };
    let asked = stream
        .set_read_timeout(Some(within))
        .and_then(|()| stream.write_all(&[0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F]));
    asked.and_then(|()| stream.read_exact(&mut [0])).is_ok()
}

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn a_killed_server_is_gone_and_comes_back_on_its_port() {
    let mut server = Server::start().unwrap();
    let port = server.port();
    assert!(answers(&server, PATIENCE));
    server.kill().unwrap();
    assert!(!answers(&server, PATIENCE));
    assert!(server.kill().is_err(), "it does not run any more");
    server.restart().unwrap();
    assert!(answers(&server, PATIENCE));
    assert_eq!(server.port(), port);
    assert!(
        server.log().contains("not properly shut down"),
        "{}",
        server.log()
    );
}

#[test]
fn a_frozen_server_is_silent_until_it_is_thawed() {
    let server = Server::start().unwrap();
    server.freeze().unwrap();
    assert!(!answers(&server, Duration::from_millis(300)));
    server.thaw().unwrap();
    assert!(answers(&server, PATIENCE));
}

#[test]
fn a_server_leaves_no_folder() {
    let parent = tempfile::TempDir::new().unwrap();
    std::fs::set_permissions(parent.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let server = Server::start_with(&Options {
        parent: Some(parent.path().to_owned()),
        ..Options::default()
    })
    .unwrap();
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 1);
    drop(server);
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
}

#[test]
fn a_wrong_setting_is_told_in_the_server_s_words() {
    let error = Server::start_with(&Options {
        settings: vec![("no_such_setting".to_owned(), "1".to_owned())],
        ..Options::default()
    })
    .unwrap_err();
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}
