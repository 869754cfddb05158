//! The probes over real sockets.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use super::{Error, MAX_CONNECTIONS, Options, Running, start};

fn started(metrics_apart: bool) -> Running {
    let options = Options {
        metrics_listen: metrics_apart.then(|| SocketAddr::from(([127, 0, 0, 1], 0))),
        ..Options::default()
    };
    start(
        &options,
        BTreeMap::from([("service_name".to_owned(), "t".to_owned())]),
    )
    .unwrap()
}

fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn get(address: SocketAddr, path: &str) -> (String, String) {
    let answer = exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[test]
fn the_probes_follow_the_life_of_the_process() {
    let running = started(false);
    let status = |path: &str| get(running.listen, path);
    assert_eq!(
        status("/livez"),
        ("HTTP/1.1 200 OK".to_owned(), "ok\n".to_owned())
    );
    assert_eq!(status("/startupz").1, "failing: starting\n");
    assert!(status("/readyz").0.contains("503"));
    running.health.set_started(Vec::new());
    assert_eq!(status("/startupz").1, "ok\n");
    assert_eq!(status("/readyz").1, "ok\n");
    running.health.set_draining();
    assert_eq!(status("/readyz").1, "failing: draining\n");
    assert_eq!(status("/livez").1, "ok\n");
    let (head, page) = status("/metrics");
    assert!(
        head.contains("200") && page.contains("worker_draining 1"),
        "{page}"
    );
}

#[test]
fn other_paths_and_methods_are_refused() {
    let running = started(false);
    assert!(get(running.listen, "/").0.contains("404"));
    assert!(get(running.listen, "/livez/../metrics").0.contains("404"));
    assert!(
        exchange(
            running.listen,
            "POST /livez HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"
        )
        .contains("405")
    );
}

#[test]
fn metrics_can_have_an_address_of_their_own() {
    let running = started(true);
    let metrics = running.metrics_listen.unwrap();
    assert!(get(running.listen, "/metrics").0.contains("404"));
    assert!(get(metrics, "/livez").0.contains("404"));
    assert!(get(metrics, "/metrics").1.contains("worker_ready 0"));
}

#[test]
fn connections_beyond_the_limit_are_closed_and_slow_ones_end() {
    let running = started(false);
    let mut idle: Vec<TcpStream> = (0..MAX_CONNECTIONS)
        .map(|_| TcpStream::connect(running.listen).unwrap())
        .collect();
    // A request on the last of them proves that all before it were accepted.
    let last = idle.last_mut().unwrap();
    last.write_all(b"GET /livez HTTP/1.1\r\nHost: h\r\nX-Slow: ")
        .unwrap();
    let mut beyond = TcpStream::connect(running.listen).unwrap();
    beyond.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut answer = Vec::new();
    // Closed without an answer, either in order or by a reset.
    drop(beyond.read_to_end(&mut answer));
    assert!(answer.is_empty());
    // The header timeout frees every slot.
    let mut rest = Vec::new();
    let first = idle.first_mut().unwrap();
    first.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    drop(first.read_to_end(&mut rest));
    for stream in &mut idle {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        drop(stream.read_to_end(&mut rest));
    }
    assert_eq!(get(running.listen, "/livez").1, "ok\n");
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = start(
        &Options {
            listen: address,
            ..Options::default()
        },
        BTreeMap::new(),
    )
    .unwrap_err();
    assert!(matches!(error, Error::Bind { .. }));
    assert!(error.to_string().contains(&address.to_string()));
}
