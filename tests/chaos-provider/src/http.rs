//! As much of HTTP/1.1 as clients of chat completions speak, by hand.
//!
//! Requests are read whole before anything is decided, because a provider bills what it has received; a request whose
//! client went away in the middle of it was never a call.

use std::fmt::Write as _;
use std::io;
use std::time::SystemTime;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const MAX_HEAD_BYTES: usize = 64 << 10;
const MAX_BODY_BYTES: usize = 64 << 20;

/// A request, read whole.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) method: String,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Incoming {
    /// The value of a header; names are compared without case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// Reads the next request of a connection; none when the client closed it between two requests.
///
/// `buffer` keeps what was read past the request.
pub(crate) async fn read_request(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
) -> io::Result<Option<Incoming>> {
    let head_end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if buffer.len() > MAX_HEAD_BYTES {
            return Err(malformed("the head of the request is too long"));
        }
        if stream.read_buf(buffer).await? == 0 {
            let clean = buffer.is_empty();
            return if clean {
                Ok(None)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
    };
    let head: Vec<u8> = buffer.drain(..head_end + 4).collect();
    let mut request =
        parse_head(&head).ok_or_else(|| malformed("the head of the request is not HTTP/1.1"))?;
    if request.header("transfer-encoding").is_some() {
        return Err(malformed("the request has no content-length"));
    }
    if request.header("expect").is_some() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let length = request
        .header("content-length")
        .map_or(Ok(0), str::parse::<usize>);
    let length = length.map_err(|_| malformed("content-length is no number"))?;
    if length > MAX_BODY_BYTES {
        return Err(malformed("the body of the request is too long"));
    }
    while buffer.len() < length {
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    request.body = buffer.drain(..length).collect();
    Ok(Some(request))
}

fn parse_head(head: &[u8]) -> Option<Incoming> {
    let mut lines = std::str::from_utf8(head).ok()?.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers = lines
        .filter(|line| !line.is_empty())
        .map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_owned(), value.trim().to_owned()))
        })
        .collect::<Option<_>>()?;
    Some(Incoming {
        method,
        path,
        headers,
        body: Vec::new(),
    })
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// How the body of a response is delimited.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Length {
    /// So many bytes.
    Bytes(usize),
    /// By the chunks it comes in.
    Chunked,
}

/// The head of a response.
pub(crate) fn head(
    status: u16,
    content_type: &str,
    length: Length,
    more: &[(&'static str, String)],
) -> String {
    let date = httpdate::fmt_http_date(SystemTime::now());
    let mut head = format!(
        "HTTP/1.1 {status} {}\r\ncontent-type: {content_type}\r\ndate: {date}\r\n",
        reason(status)
    );
    let delimited = match length {
        Length::Bytes(bytes) => write!(head, "content-length: {bytes}\r\n"),
        Length::Chunked => write!(head, "transfer-encoding: chunked\r\n"),
    };
    let rest = more
        .iter()
        .try_for_each(|(name, value)| write!(head, "{name}: {value}\r\n"));
    debug_assert!(delimited.and(rest).is_ok(), "writing to a string does not fail");
    head.push_str("\r\n");
    head
}

/// One chunk of a body that comes in chunks.
pub(crate) fn chunk(data: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
    chunk.extend_from_slice(data);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

/// What ends a body that comes in chunks.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        529 => "Overloaded",
        _ => "Unknown",
    }
}
