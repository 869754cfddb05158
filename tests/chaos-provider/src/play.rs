//! Plays a reply on a connection, token by token, and breaks it where the script says.
//!
//! One future plays, another watches whether the client is still there, and whichever is done first ends the call.
//! Checking for the client only when a write fails would miss the ones that matter: during a delay nothing is written,
//! and a write into the kernel's buffer succeeds for a client that left.

use std::collections::BTreeSet;
use std::future::pending;
use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::account::Outcome;
use crate::call::{Call, Protocol, sha256_hex};
use crate::http::{LAST_CHUNK, Length, chunk};
use crate::limits::headers::{Header, date_in};
use crate::script::{Behaviour, Cut, Point, RetryAfter};
use crate::told::refusal::Refusal;
use crate::told::{Source, Tokens, Told};

mod pen;
mod scene;

use pen::{Pen, Progress};
pub(crate) use scene::Scene;

const JSON: &str = "application/json";
const STREAM: &str = "text/event-stream";
const NOISE: &[u8] = b"{\"id\": \"chatcmpl-\x00\xff\xfe{]\r\n\x1b[0m<<<<<<<";
const PAGE: &[u8] = b"<!doctype html><html><body><h1>Sign in to continue</h1></body></html>";
const BLOCK_BYTES: usize = 64 << 10;
/// Stands in a huge answer where its text belongs, so that the answer around it is an ordinary one.
const GAP: &str = "<gap>";

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
    pub(crate) status: Option<u16>,
    /// The tokens that were handed to the network.
    pub(crate) sent: u32,
    /// What it costs.
    pub(crate) cost: Tokens,
    /// The digest of the answer's text, if all of it was told.
    pub(crate) answer_sha256: Option<String>,
}

/// Plays the reply to a call and watches the client meanwhile.
pub(crate) async fn play(
    stream: &mut TcpStream,
    scene: &Scene,
    gates: watch::Receiver<BTreeSet<String>>,
) -> Played {
    let (mut reader, writer) = stream.split();
    let progress = Progress::default();
    let behaviour = &scene.reply.behaviour;
    let source = Source {
        seq: scene.seq,
        response_id: &scene.response_id,
        call: &scene.call,
        cached: scene.cached,
        written: scene.written,
    };
    let told = Told::new(&source, &behaviour.answer(), behaviour.ignores_limit());
    let whole = told.cost;
    let digest = matches!(behaviour, Behaviour::Answer(_)).then(|| sha256_hex(told.text().trim().as_bytes()));
    let mut stage = Stage {
        pen: Pen {
            writer,
            progress: &progress,
            headers: &scene.headers,
            bytes_per_second: scene.reply.bytes_per_second,
        },
        scene,
        whole,
    };
    let (outcome, after) = tokio::select! {
        // The client first: when it left, that the last write went well means nothing.
        biased;
        () = left(&mut reader) => (Outcome::ClientLeft, After::Close),
        ended = stage.perform(told, gates) => match ended {
            Ok(After::Keep) => (Outcome::Sent, After::Keep),
            Ok(after) => (Outcome::Cut, after),
            Err(_) => (Outcome::ClientLeft, After::Close),
        },
    };
    let cost = stage.settle();
    Played {
        outcome,
        after,
        status: progress.status(),
        sent: progress.sent(),
        cost,
        answer_sha256: digest.filter(|_| outcome == Outcome::Sent),
    }
}

/// Returns when the client closed or reset the connection; never when it sent its next request early.
async fn left(reader: &mut ReadHalf<'_>) {
    if let Ok(1..) = reader.peek(&mut [0]).await {
        pending::<()>().await;
    }
}

struct Stage<'a> {
    pen: Pen<'a>,
    scene: &'a Scene,
    /// What the whole answer would cost.
    whole: Tokens,
}

impl Stage<'_> {
    async fn perform(
        &mut self,
        told: Told,
        mut gates: watch::Receiver<BTreeSet<String>>,
    ) -> io::Result<After> {
        let Scene {
            reply, dice, call, ..
        } = self.scene;
        pause(Duration::from_millis(reply.delay_ms)).await;
        if let Some(latency) = reply.latency {
            pause(latency.draw(dice, "latency", 0)).await;
        }
        if let Some(gate) = &reply.gate {
            let opened = gates.wait_for(|open| open.contains(gate)).await;
            opened.map_err(io::Error::other)?;
        }
        match &reply.behaviour {
            Behaviour::Answer(answer) => self.answer(&told, answer.token_delay_ms).await,
            Behaviour::RateLimited { retry_after } => self.refuse(429, None, *retry_after).await,
            Behaviour::Overloaded { retry_after } => self.refuse(529, None, *retry_after).await,
            Behaviour::Refused { status, code } => {
                self.refuse(*status, code.as_deref(), RetryAfter::None).await
            }
            Behaviour::Cut {
                after,
                how,
                token_delay_ms,
            } => self.cut(&told, *after, *how, *token_delay_ms).await,
            Behaviour::Truncated { after_tokens } => self.truncated(&told, *after_tokens).await,
            Behaviour::StreamError { .. } => self.stream_error(&told).await,
            Behaviour::Garbage if call.stream => {
                self.send(200, STREAM, &[b"data: ", NOISE, b"\n\n"].concat(), &[])
                    .await
            }
            Behaviour::Garbage => self.send(200, JSON, NOISE, &[]).await,
            Behaviour::Html { status } => self.send(*status, "text/html; charset=utf-8", PAGE, &[]).await,
            Behaviour::Huge { bytes } => self.huge(told, *bytes).await,
        }
    }

    async fn answer(&mut self, told: &Told, token_delay_ms: u64) -> io::Result<After> {
        if !self.scene.call.stream {
            self.think(told);
            for place in 0..told.tokens.len() {
                self.generate(place, token_delay_ms).await;
            }
            self.pen
                .progress
                .add_sent(told.cost.completion - told.cost.reasoning);
            return self
                .send(200, JSON, told.whole().to_string().as_bytes(), &[])
                .await;
        }
        self.pen.head(200, STREAM, Length::Chunked, &[]).await?;
        self.tell(told, told.tokens.len(), token_delay_ms).await?;
        self.end(told.ending()).await
    }

    async fn cut(&mut self, told: &Told, after: Point, how: Cut, token_delay_ms: u64) -> io::Result<After> {
        let stream = self.scene.call.stream;
        match after {
            Point::Request => {}
            Point::Head | Point::Tokens(_) if stream => {
                self.pen.head(200, STREAM, Length::Chunked, &[]).await?;
            }
            Point::Head => {
                let body = told.whole().to_string();
                self.pen.head(200, JSON, Length::Bytes(body.len()), &[]).await?;
            }
            Point::Tokens(_) => {
                let body = told.whole().to_string();
                self.pen.progress.add_generated(told.cost.completion);
                self.pen.head(200, JSON, Length::Bytes(body.len()), &[]).await?;
                self.pen.progress.add_sent(told.cost.completion);
                self.pen.body(&body.as_bytes()[..body.len() / 2]).await?;
            }
        }
        if let Point::Tokens(count) = after
            && stream
        {
            self.tell(told, usize::try_from(count).unwrap_or(usize::MAX), token_delay_ms)
                .await?;
        }
        match how {
            Cut::Reset => Ok(After::Reset),
            Cut::Close => Ok(After::Close),
            Cut::Stall => pending().await,
        }
    }

    async fn truncated(&mut self, told: &Told, after_tokens: u32) -> io::Result<After> {
        if !self.scene.call.stream {
            self.pen.progress.add_generated(told.cost.completion);
            self.pen.progress.add_sent(told.cost.completion);
            let body = told.whole().to_string();
            return self
                .send(200, JSON, &body.as_bytes()[..body.len() / 2], &[])
                .await;
        }
        self.pen.head(200, STREAM, Length::Chunked, &[]).await?;
        let whole = usize::try_from(after_tokens).unwrap_or(usize::MAX);
        self.tell(told, whole, 0).await?;
        let torn = told.tokens.get(whole).map_or("torn", String::as_str);
        let event = told.event(torn, whole == 0);
        self.pen.progress.add_generated(1);
        self.end(vec![event[..event.len() * 3 / 4].to_owned()]).await
    }

    async fn stream_error(&mut self, told: &Told) -> io::Result<After> {
        let Call { protocol, stream, .. } = self.scene.call;
        if !stream {
            return self.refuse(500, None, RetryAfter::None).await;
        }
        self.pen.head(200, STREAM, Length::Chunked, &[]).await?;
        self.tell(told, told.tokens.len(), 0).await?;
        let status = match protocol {
            Protocol::OpenAi => 500,
            // What this provider's streams mostly break with.
            Protocol::Anthropic => 529,
        };
        let error = Refusal::new(protocol, self.scene.seq, status, None);
        self.end(vec![error.event(protocol)]).await
    }

    /// One text of so many bytes, written in blocks: the provider must not need the memory that it asks of the client.
    async fn huge(&mut self, told: Told, bytes: u64) -> io::Result<After> {
        let cost = told.cost;
        let told = told.with_text(GAP);
        let (kind, around) = if self.scene.call.stream {
            let mut events = told.opening();
            events.push(told.event(GAP, true));
            events.extend(told.ending());
            (STREAM, events.concat())
        } else {
            (JSON, told.whole().to_string())
        };
        let (before, after) = around.split_once(GAP).unwrap_or((around.as_str(), ""));
        self.pen.progress.add_generated(cost.completion);
        self.pen.progress.add_sent(cost.completion);
        self.pen.head(200, kind, Length::Chunked, &[]).await?;
        self.pen.body(&chunk(before.as_bytes())).await?;
        let block = vec![b'x'; BLOCK_BYTES];
        let mut left = bytes;
        while left > 0 {
            let size = usize::try_from(left).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES);
            self.pen.body(&chunk(&block[..size])).await?;
            left -= u64::try_from(size).unwrap_or(left);
        }
        self.end(vec![after.to_owned()]).await
    }

    /// Writes what comes before the first token, and so many tokens, each when it is generated.
    async fn tell(&mut self, told: &Told, count: usize, delay_ms: u64) -> io::Result<()> {
        self.think(told);
        let opening: Vec<u8> = told
            .opening()
            .iter()
            .flat_map(|event| chunk(event.as_bytes()))
            .collect();
        self.pen.body(&opening).await?;
        for (place, token) in told.tokens.iter().take(count).enumerate() {
            self.generate(place, delay_ms).await;
            let event = told.event(token, place == 0);
            self.pen.body(&chunk(event.as_bytes())).await?;
            self.pen.progress.add_sent(1);
        }
        Ok(())
    }

    /// Gives back what the call holds of a limit, and gives what it costs by now.
    fn settle(&self) -> Tokens {
        let cost = self.scene.cost(self.whole, self.pen.progress.generated());
        self.scene.settle(cost);
        cost
    }

    fn think(&self, told: &Told) {
        self.pen.progress.add_generated(told.cost.reasoning);
    }

    /// Takes the time of one token.
    async fn generate(&self, place: usize, delay_ms: u64) {
        pause(Duration::from_millis(delay_ms)).await;
        if let Some(latency) = self.scene.token_latency {
            let place = u64::try_from(place).unwrap_or(u64::MAX);
            pause(latency.draw(&self.scene.dice, "token", place)).await;
        }
        self.pen.progress.add_generated(1);
    }

    /// Ends a body of chunks with these events.
    async fn end(&mut self, events: Vec<String>) -> io::Result<After> {
        let mut parts: Vec<Vec<u8>> = events.iter().map(|event| chunk(event.as_bytes())).collect();
        match parts.last_mut() {
            Some(last) => last.extend_from_slice(LAST_CHUNK),
            None => parts.push(LAST_CHUNK.to_vec()),
        }
        self.finish(&parts).await
    }

    async fn refuse(
        &mut self,
        status: u16,
        code: Option<&str>,
        retry_after: RetryAfter,
    ) -> io::Result<After> {
        let refusal = Refusal::new(self.scene.call.protocol, self.scene.seq, status, code);
        let body = refusal.body.to_string();
        self.send(refusal.status, JSON, body.as_bytes(), &retry_headers(retry_after))
            .await
    }

    async fn send(&mut self, status: u16, kind: &str, body: &[u8], more: &[Header]) -> io::Result<After> {
        self.pen
            .head(status, kind, Length::Bytes(body.len()), more)
            .await?;
        let (before, last) = body.split_at(body.len().saturating_sub(1));
        self.finish(&[before.to_vec(), last.to_vec()]).await
    }

    /// Writes the last parts of a body. The very last goes out at once, and without a speed all do: a client that
    /// leaves at the mark of the end, as it may, must not look as if it left before the end. The limit is free before
    /// that, because the client may come back before this provider runs again.
    async fn finish(&mut self, parts: &[Vec<u8>]) -> io::Result<After> {
        let is_slow = self.pen.bytes_per_second.is_some();
        let (before, last) = parts.split_at(if is_slow { parts.len() - 1 } else { 0 });
        for part in before {
            self.pen.body(part).await?;
        }
        self.settle();
        self.pen.at_once(&last.concat()).await?;
        Ok(After::Keep)
    }
}

async fn pause(length: Duration) {
    if !length.is_zero() {
        sleep(length).await;
    }
}

fn retry_headers(retry_after: RetryAfter) -> Vec<Header> {
    match retry_after {
        RetryAfter::None => Vec::new(),
        RetryAfter::Seconds(seconds) => vec![("retry-after", seconds.to_string())],
        RetryAfter::Millis(millis) => vec![("retry-after-ms", millis.to_string())],
        RetryAfter::Date(seconds) => vec![("retry-after", date_in(seconds))],
    }
}
