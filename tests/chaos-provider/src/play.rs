//! Plays a reply on a connection, token by token, and breaks it where the script says.
//!
//! One future plays, another watches whether the client is still there, and whichever is done first ends the call.
//! Checking for the client only when a write fails would miss the ones that matter: during a delay nothing is written,
//! and a write into the kernel's buffer succeeds for a client that left.

use std::collections::BTreeSet;
use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::account::Outcome;
use crate::answer::{Call, Told, refusal};
use crate::http::{LAST_CHUNK, Length, chunk, head};
use crate::script::{Answer, Behaviour, Cut, Point, Reply, RetryAfter, Text};

const JSON: &str = "application/json";
const STREAM: &str = "text/event-stream";
const NOISE: &[u8] = b"{\"id\": \"chatcmpl-\x00\xff\xfe{]\r\n\x1b[0m<<<<<<<";
const PAGE: &[u8] = b"<!doctype html><html><body><h1>Sign in to continue</h1></body></html>";
const BLOCK_BYTES: usize = 64 << 10;

/// What is done with the connection after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// It takes the next request.
    Keep,
    /// It is closed.
    Close,
    /// It is reset.
    Reset,
}

/// What became of one call.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) outcome: Outcome,
    pub(crate) after: After,
    pub(crate) tokens: u32,
}

/// Plays the reply to a call and watches the client meanwhile.
pub(crate) async fn play(
    stream: &mut TcpStream,
    call: &Call,
    seq: u64,
    reply: &Reply,
    gates: watch::Receiver<BTreeSet<String>>,
) -> Played {
    let (mut reader, writer) = stream.split();
    let tokens = AtomicU32::new(0);
    let mut stage = Stage {
        writer,
        call,
        seq,
        tokens: &tokens,
    };
    let (outcome, after) = tokio::select! {
        // The client first: when it left, that the last write went well means nothing.
        biased;
        () = left(&mut reader) => (Outcome::ClientLeft, After::Close),
        ended = stage.perform(reply, gates) => match ended {
            Ok(After::Keep) => (Outcome::Sent, After::Keep),
            Ok(after) => (Outcome::Cut, after),
            Err(_) => (Outcome::ClientLeft, After::Close),
        },
    };
    Played {
        outcome,
        after,
        tokens: tokens.into_inner(),
    }
}

/// Returns when the client closed or reset the connection; never when it sent its next request early.
async fn left(reader: &mut ReadHalf<'_>) {
    if let Ok(1..) = reader.peek(&mut [0]).await {
        pending::<()>().await;
    }
}

struct Stage<'a> {
    writer: WriteHalf<'a>,
    call: &'a Call,
    seq: u64,
    tokens: &'a AtomicU32,
}

impl Stage<'_> {
    async fn perform(
        &mut self,
        reply: &Reply,
        mut gates: watch::Receiver<BTreeSet<String>>,
    ) -> io::Result<After> {
        pause(reply.delay_ms).await;
        if let Some(gate) = &reply.gate {
            let opened = gates.wait_for(|open| open.contains(gate)).await;
            opened.map_err(io::Error::other)?;
        }
        match &reply.behaviour {
            Behaviour::Answer(answer) => self.answer(answer).await,
            Behaviour::RateLimited { retry_after } => {
                self.json(429, &refusal(429, None), &retry_headers(*retry_after))
                    .await
            }
            Behaviour::Refused { status, code } => {
                self.json(*status, &refusal(*status, code.as_deref()), &[]).await
            }
            Behaviour::Cut {
                after,
                how,
                token_delay_ms,
            } => self.cut(*after, *how, *token_delay_ms).await,
            Behaviour::StreamError { after_tokens } => self.stream_error(*after_tokens).await,
            Behaviour::Garbage if self.call.stream => {
                self.whole(200, STREAM, &[b"data: ", NOISE, b"\n\n"].concat())
                    .await
            }
            Behaviour::Garbage => self.whole(200, JSON, NOISE).await,
            Behaviour::Html { status } => self.whole(*status, "text/html; charset=utf-8", PAGE).await,
            Behaviour::Huge { bytes } => self.huge(*bytes).await,
        }
    }

    async fn answer(&mut self, answer: &Answer) -> io::Result<After> {
        let told = Told::new(self.seq, self.call, answer);
        if !self.call.stream {
            for _ in &told.tokens {
                pause(answer.token_delay_ms).await;
            }
            self.count(told.tokens.len());
            return self.json(200, &told.whole(), &[]).await;
        }
        self.head(200, STREAM, Length::Chunked, &[]).await?;
        self.tokens(&told, told.tokens.len(), answer.token_delay_ms)
            .await?;
        let mut end = event(&told.last_chunk());
        // The protocol sends the cost of a stream only to who asks for it.
        if let Some(usage) = told.usage_chunk().filter(|_| self.call.wants_usage) {
            end.extend(event(&usage));
        }
        end.extend(chunk(b"data: [DONE]\n\n"));
        // In one write: a client that leaves at `[DONE]`, as it may, must not look as if it left before the end.
        end.extend_from_slice(LAST_CHUNK);
        self.writer.write_all(&end).await?;
        Ok(After::Keep)
    }

    async fn cut(&mut self, after: Point, how: Cut, token_delay_ms: u64) -> io::Result<After> {
        let shown = if let Point::Tokens(count) = after {
            count
        } else {
            0
        };
        // More words than are told, so that the cut is in the middle whatever the limit of the request is.
        let answer = Answer {
            text: Text::Words(shown.saturating_add(20)),
            ..Answer::default()
        };
        let unlimited = Call {
            max_tokens: None,
            ..self.call.clone()
        };
        let told = Told::new(self.seq, &unlimited, &answer);
        let shown = usize::try_from(shown).unwrap_or(usize::MAX);
        if !matches!(after, Point::Request) {
            if self.call.stream {
                self.head(200, STREAM, Length::Chunked, &[]).await?;
                self.tokens(&told, shown, token_delay_ms).await?;
            } else {
                let body = told.whole().to_string();
                self.head(200, JSON, Length::Bytes(body.len()), &[]).await?;
                if matches!(after, Point::Tokens(_)) {
                    self.count(told.tokens.len());
                    self.writer.write_all(&body.as_bytes()[..body.len() / 2]).await?;
                }
            }
        }
        match how {
            Cut::Reset => Ok(After::Reset),
            Cut::Close => Ok(After::Close),
            Cut::Stall => pending().await,
        }
    }

    async fn stream_error(&mut self, after_tokens: u32) -> io::Result<After> {
        if !self.call.stream {
            return self.json(500, &refusal(500, None), &[]).await;
        }
        let answer = Answer {
            text: Text::Words(after_tokens),
            ..Answer::default()
        };
        let told = Told::new(self.seq, self.call, &answer);
        self.head(200, STREAM, Length::Chunked, &[]).await?;
        self.tokens(&told, told.tokens.len(), 0).await?;
        let end = [event(&refusal(500, None)).as_slice(), LAST_CHUNK].concat();
        self.writer.write_all(&end).await?;
        Ok(After::Keep)
    }

    /// One text of so many bytes, written in blocks: the provider must not need the memory that it asks of the client.
    async fn huge(&mut self, bytes: u64) -> io::Result<After> {
        let (kind, before, after) = if self.call.stream {
            (STREAM, event_frame(self.seq), "\"}}]}\n\ndata: [DONE]\n\n")
        } else {
            (JSON, whole_frame(self.seq), "\"}}]}")
        };
        self.count(1);
        self.head(200, kind, Length::Chunked, &[]).await?;
        self.writer.write_all(&chunk(before.as_bytes())).await?;
        let block = vec![b'x'; BLOCK_BYTES];
        let mut left = bytes;
        while left > 0 {
            let size = usize::try_from(left).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES);
            self.writer.write_all(&chunk(&block[..size])).await?;
            left -= u64::try_from(size).unwrap_or(left);
        }
        let end = [chunk(after.as_bytes()).as_slice(), LAST_CHUNK].concat();
        self.writer.write_all(&end).await?;
        Ok(After::Keep)
    }

    async fn tokens(&mut self, told: &Told, count: usize, delay_ms: u64) -> io::Result<()> {
        for (place, token) in told.tokens.iter().take(count).enumerate() {
            pause(delay_ms).await;
            self.writer
                .write_all(&event(&told.chunk(token, place == 0)))
                .await?;
            self.count(1);
        }
        Ok(())
    }

    async fn json(&mut self, status: u16, body: &Value, headers: &[(&str, String)]) -> io::Result<After> {
        let body = body.to_string();
        self.send(status, JSON, body.as_bytes(), headers).await
    }

    async fn whole(&mut self, status: u16, content_type: &str, body: &[u8]) -> io::Result<After> {
        self.send(status, content_type, body, &[]).await
    }

    async fn send(
        &mut self,
        status: u16,
        kind: &str,
        body: &[u8],
        more: &[(&str, String)],
    ) -> io::Result<After> {
        self.head(status, kind, Length::Bytes(body.len()), more).await?;
        self.writer.write_all(body).await?;
        Ok(After::Keep)
    }

    async fn head(
        &mut self,
        status: u16,
        kind: &str,
        length: Length,
        more: &[(&str, String)],
    ) -> io::Result<()> {
        self.writer
            .write_all(head(status, kind, length, more).as_bytes())
            .await
    }

    fn count(&self, tokens: usize) {
        self.tokens
            .fetch_add(u32::try_from(tokens).unwrap_or(u32::MAX), Ordering::Relaxed);
    }
}

async fn pause(milliseconds: u64) {
    if milliseconds > 0 {
        sleep(Duration::from_millis(milliseconds)).await;
    }
}

fn event(value: &Value) -> Vec<u8> {
    chunk(format!("data: {value}\n\n").as_bytes())
}

fn retry_headers(retry_after: RetryAfter) -> Vec<(&'static str, String)> {
    match retry_after {
        RetryAfter::None => Vec::new(),
        RetryAfter::Seconds(seconds) => vec![("retry-after", seconds.to_string())],
        RetryAfter::Millis(millis) => vec![("retry-after-ms", millis.to_string())],
        RetryAfter::Date(seconds) => {
            let date = SystemTime::now() + Duration::from_secs(seconds);
            vec![("retry-after", httpdate::fmt_http_date(date))]
        }
    }
}

/// The JSON of a whole answer up to its text.
fn whole_frame(seq: u64) -> String {
    let usage = json!({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2});
    format!(
        r#"{{"id":"chatcmpl-{seq}","object":"chat.completion","usage":{usage},"choices":[{{"index":0,"finish_reason":"stop","message":{{"role":"assistant","content":""#
    )
}

/// A stream of one event up to its text.
fn event_frame(seq: u64) -> String {
    format!(
        r#"data: {{"id":"chatcmpl-{seq}","object":"chat.completion.chunk","choices":[{{"index":0,"finish_reason":"stop","delta":{{"content":""#
    )
}
