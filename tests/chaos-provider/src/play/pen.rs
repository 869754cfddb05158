//! Writes a response: its head at once, its body as fast as the reply says.

use std::io;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::tcp::WriteHalf;
use tokio::time::sleep;

use crate::http::{Length, head};
use crate::limits::headers::Header;

/// How often a second a slow body goes on, where its speed allows.
const STEPS_A_SECOND: u32 = 10;

/// How far a call has come; readable when the future that writes it was dropped in the middle.
#[derive(Debug, Default)]
pub(super) struct Progress {
    sent: AtomicU32,
    generated: AtomicU32,
    status: AtomicU16,
}

impl Progress {
    /// The tokens that were handed to the network.
    pub(super) fn sent(&self) -> u32 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The tokens that were generated, whoever got them.
    pub(super) fn generated(&self) -> u32 {
        self.generated.load(Ordering::Relaxed)
    }

    pub(super) fn status(&self) -> Option<u16> {
        Some(self.status.load(Ordering::Relaxed)).filter(|status| *status != 0)
    }

    pub(super) fn add_sent(&self, tokens: u32) {
        self.sent.fetch_add(tokens, Ordering::Relaxed);
    }

    pub(super) fn add_generated(&self, tokens: u32) {
        self.generated.fetch_add(tokens, Ordering::Relaxed);
    }
}

/// Writes one response.
pub(super) struct Pen<'a> {
    pub(super) writer: WriteHalf<'a>,
    pub(super) progress: &'a Progress,
    /// Headers of every answer.
    pub(super) headers: &'a [Header],
    pub(super) bytes_per_second: Option<u32>,
}

impl Pen<'_> {
    /// Writes the status and the headers.
    pub(super) async fn head(
        &mut self,
        status: u16,
        kind: &str,
        length: Length,
        more: &[Header],
    ) -> io::Result<()> {
        self.progress.status.store(status, Ordering::Relaxed);
        let head = head(status, kind, length, &[self.headers, more].concat());
        self.writer.write_all(head.as_bytes()).await
    }

    /// Writes a part of the body.
    pub(super) async fn body(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(rate) = self.bytes_per_second.map(|rate| rate.max(1)) else {
            return self.writer.write_all(bytes).await;
        };
        let step = (rate / STEPS_A_SECOND).max(1);
        let pause = Duration::from_secs(1) * step / rate;
        for piece in bytes.chunks(usize::try_from(step).unwrap_or(usize::MAX)) {
            sleep(pause).await;
            self.writer.write_all(piece).await?;
        }
        Ok(())
    }

    /// Writes a part of the body without its pauses.
    pub(super) async fn at_once(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes).await
    }
}
