//! S3, as `moto` speaks it.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use blob_store::{BlobStore, Error, Options};
use workflow_types::proto::BlobRef;

use crate::suite;

/// A server that ends with the test.
struct Moto {
    process: Child,
    address: String,
}

impl Moto {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test has no configuration to be handed the path by"
    )]
    fn start() -> Self {
        let python = std::env::var("TAW_TEST_PYTHON")
            .expect("TAW_TEST_PYTHON is not set: run `make setup` once, then `make test`");
        let mut process = Command::new(python)
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stderr.take().unwrap());
        let mut seen = String::new();
        let address = loop {
            let before = seen.len();
            assert!(output.read_line(&mut seen).unwrap() > 0, "moto ended: {seen}");
            if let Some((_, address)) = seen[before..].split_once("Running on http://") {
                break address.trim().to_owned();
            }
        };
        // It logs every request; nobody reading would block it.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        let moto = Self { process, address };
        moto.create_bucket();
        moto
    }

    fn create_bucket(&self) {
        let answer = self.request("PUT", "/bucket");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// Tells whether a multipart upload is begun and neither completed nor taken back.
    fn has_open_upload(&self) -> bool {
        let answer = self.request("GET", "/bucket?uploads");
        assert!(answer.contains("ListMultipartUploadsResult"), "{answer}");
        answer.contains("<UploadId>")
    }

    fn request(&self, method: &str, path: &str) -> String {
        let mut connection = TcpStream::connect(&self.address).unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1
Host: {}
Content-Length: 0
Connection: close

",
            self.address
        );
        connection.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer
    }

    fn store(&self, url: &str) -> BlobStore {
        BlobStore::open(&options(url, &self.address)).unwrap()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn options(url: &str, address: &str) -> Options {
    let endpoint = format!("http://{address}");
    let options = [
        ("aws_endpoint", endpoint.as_str()),
        ("aws_region", "us-east-1"),
        ("aws_access_key_id", "test"),
        ("aws_secret_access_key", "test"),
        ("allow_http", "true"),
    ];
    Options {
        url: url.to_owned(),
        options: BTreeMap::from(options.map(|(key, value)| (key.to_owned(), value.to_owned()))),
        ..Options::default()
    }
}

#[tokio::test]
async fn everything_holds_for_s3() {
    let moto = Moto::start();
    let store = moto.store("s3://bucket/some/prefix");
    suite::everything_holds(&store).await;

    let blob = suite::put(&store, &suite::run("prefix"), "a.txt", "text").await;
    let path = blob.uri.strip_prefix("blob:").unwrap();
    let below = BlobRef {
        uri: format!("blob:some/prefix/{path}"),
        ..blob.clone()
    };
    let whole = moto.store("s3://bucket");
    assert_eq!(whole.get(&below, 100).await.unwrap(), "text");
    assert!(matches!(whole.get(&blob, 100).await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn a_writer_that_is_dropped_takes_its_upload_back() {
    let moto = Moto::start();
    let store = moto.store("s3://bucket");
    let path = suite::run("dropped").path("a.bin").unwrap();
    let mut writer = store.writer(&path, "application/octet-stream").await.unwrap();
    writer.write(&vec![1; 9 * 1024 * 1024]).await.unwrap();
    assert!(moto.has_open_upload());
    drop(writer);
    let taken_back = async {
        while moto.has_open_upload() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), taken_back)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_store_that_cannot_be_reached_is_a_failure_of_the_store() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let store = BlobStore::open(&options("s3://bucket", &free.to_string())).unwrap();
    let blob = BlobRef {
        uri: "blob:a".into(),
        ..BlobRef::default()
    };
    let error = store.get(&blob, 100).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Storage {
                operation: "read",
                ..
            }
        ),
        "{error:?}"
    );
    let error = store
        .put(&suite::run("x").path("a").unwrap(), b"x", "text/plain")
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::Storage {
                operation: "write",
                ..
            }
        ),
        "{error:?}"
    );
}
