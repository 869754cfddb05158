//! The body of an answer, piece by piece.

use bytes::Bytes;
use reqwest::Response;

use super::flight::{Flight, Phase};
use crate::provider::{Error, ErrorKind};

/// Reads the body of an answer piece by piece, under the flight's limits and a limit of size.
pub(crate) struct Reader<'f> {
    flight: &'f Flight,
    response: Response,
    received: u64,
    limit: u64,
}

impl<'f> Reader<'f> {
    pub(crate) fn new(flight: &'f Flight, response: Response, limit: u64) -> Self {
        Self {
            flight,
            response,
            received: 0,
            limit,
        }
    }

    /// The most bytes that are read.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes so far.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Gives the next piece, or none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.received == 0
            && self
                .response
                .content_length()
                .is_some_and(|length| length > self.limit)
        {
            return Err(self.too_large());
        }
        let phase = if self.received == 0 {
            Phase::FirstByte
        } else {
            Phase::BetweenBytes
        };
        let Some(bytes) = self.flight.within(phase, self.response.chunk()).await? else {
            return Ok(None);
        };
        self.received += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if self.received > self.limit {
            return Err(self.too_large());
        }
        Ok(Some(bytes))
    }

    /// Reads to the end.
    pub(crate) async fn read_all(&mut self) -> Result<Vec<u8>, Error> {
        let mut all = Vec::new();
        while let Some(bytes) = self.next().await? {
            all.extend_from_slice(&bytes);
        }
        Ok(all)
    }

    /// Reads what can be had of a refusal's body; what the body lacks, the status says.
    pub(crate) async fn read_what_comes(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while let Ok(Some(bytes)) = self.next().await {
            all.extend_from_slice(&bytes);
        }
        all
    }

    fn too_large(&self) -> Error {
        self.flight.error(
            ErrorKind::ResponseTooLarge,
            format!("the answer is larger than max_response_bytes ({})", self.limit),
        )
    }
}
