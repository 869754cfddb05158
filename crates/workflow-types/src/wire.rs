//! How a payload crosses: decoding never fails, parsing does.
//!
//! The SDK decodes an input before the workflow's own code runs, and a decoding error there fails the workflow *task*,
//! which is tried again until the execution timeout: a typing mistake would look like a stuck run. [`Wire`] therefore
//! keeps what could not be decoded and hands it to the workflow as an ordinary error, which fails the run with
//! `InvalidInput`, or records a rejected signal.
//!
//! `json/plain` and `json/protobuf` are taken, and an absent or null payload is the empty message, so that a caller in
//! any language needs nothing but JSON.

use std::collections::BTreeMap;

use serde::{Serialize, de::DeserializeOwned};
use temporalio_common::{
    data_converters::{
        PayloadConversionError, SerializationContext, TemporalDeserializable, TemporalSerializable,
    },
    protos::temporal::api::common::v1::Payload,
};

use crate::{json::restore_integers, problem::Problems};

const ENCODING: &str = "encoding";
const JSON_PLAIN: &[u8] = b"json/plain";
const JSON_PROTOBUF: &[u8] = b"json/protobuf";
const BINARY_NULL: &[u8] = b"binary/null";
/// What is said of a wrong shape travels in a failure, so it is kept short.
const MOST_MESSAGE_CHARS: usize = 500;

/// What a message of the contracts can do; every generated message can.
pub trait Message: Serialize + DeserializeOwned + Default + 'static {}

impl<T: Serialize + DeserializeOwned + Default + 'static> Message for T {}

/// A message as it crosses Temporal, or what is wrong with the bytes that came instead.
#[derive(Debug, Clone, PartialEq)]
pub struct Wire<T>(Result<T, Problems>);

impl<T> Wire<T> {
    /// Wraps a message to be sent.
    pub fn new(message: T) -> Self {
        Self(Ok(message))
    }

    /// Gives the message.
    ///
    /// # Errors
    ///
    /// What is wrong with the bytes that came: their encoding, or the first path whose shape does not fit.
    pub fn into_message(self) -> Result<T, Problems> {
        self.0
    }
}

impl<T> From<T> for Wire<T> {
    fn from(message: T) -> Self {
        Self::new(message)
    }
}

impl<T: Serialize + 'static> TemporalSerializable for Wire<T> {
    fn to_payload(&self, _: &SerializationContext<'_>) -> Result<Payload, PayloadConversionError> {
        let message = self
            .0
            .as_ref()
            .map_err(|problems| PayloadConversionError::EncodingError(problems.clone().into()))?;
        let data = to_json(message).map_err(|error| PayloadConversionError::EncodingError(error.into()))?;
        let metadata = BTreeMap::from([(ENCODING.to_owned(), JSON_PLAIN.to_vec())]);
        Ok(Payload {
            metadata: metadata.into_iter().collect(),
            data,
            ..Payload::default()
        })
    }
}

impl<T: DeserializeOwned + Default + 'static> TemporalDeserializable for Wire<T> {
    fn from_payload(_: &SerializationContext<'_>, payload: Payload) -> Result<Self, PayloadConversionError> {
        Ok(Self(decode(&payload)))
    }

    fn from_payloads(
        context: &SerializationContext<'_>,
        payloads: Vec<Payload>,
    ) -> Result<Self, PayloadConversionError> {
        let count = payloads.len();
        let mut payloads = payloads.into_iter();
        match (payloads.next(), count) {
            (None, _) => Ok(Self(Ok(T::default()))),
            (Some(payload), 1) => Self::from_payload(context, payload),
            (Some(_), _) => Ok(Self(Err(Problems::one(
                "$",
                format!("takes one argument, an object; {count} came"),
            )))),
        }
    }
}

fn decode<T: DeserializeOwned + Default>(payload: &Payload) -> Result<T, Problems> {
    match payload.metadata.get(ENCODING).map(Vec::as_slice) {
        Some(JSON_PLAIN | JSON_PROTOBUF) => parse_json(&payload.data),
        Some(BINARY_NULL) => Ok(T::default()),
        None if payload.data.is_empty() => Ok(T::default()),
        other => {
            let name = other.map_or("none".into(), |name| String::from_utf8_lossy(name).into_owned());
            Err(Problems::one(
                "$",
                format!("encoding `{name}` is not taken; send json/plain or json/protobuf"),
            ))
        }
    }
}

/// Writes a message as the JSON that crosses: integers that went through a double are integers again.
///
/// # Errors
///
/// That a value in it has no JSON, such as a number that is none.
pub fn to_json<T: Serialize>(message: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut document = serde_json::to_value(message)?;
    restore_integers(&mut document);
    serde_json::to_vec(&document)
}

/// Reads a message from JSON and lets unknown fields pass, as workers do.
///
/// # Errors
///
/// The first path whose shape does not fit.
pub fn parse_json<T: DeserializeOwned + Default>(json: &[u8]) -> Result<T, Problems> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value: Option<T> = serde_path_to_error::deserialize(&mut reader).map_err(shape_problem)?;
    reader
        .end()
        .map_err(|error| Problems::one("$", shape_message(&error.to_string())))?;
    Ok(value.unwrap_or_default())
}

/// Reads a message from JSON and refuses unknown fields, as tools for people do.
///
/// # Errors
///
/// Every unknown field by its path, or the first path whose shape does not fit.
pub fn parse_json_strictly<T: DeserializeOwned + Default>(json: &[u8]) -> Result<T, Problems> {
    let message = parse_json(json)?;
    let mut unknown = Problems::new();
    let mut reader = serde_json::Deserializer::from_slice(json);
    // A null document is the empty message: it fails here and has no fields to name.
    let _shape_is_known: Result<T, _> = serde_ignored::deserialize(&mut reader, |path| {
        // An optional part shows up as `?`, which is none of the JSON's.
        unknown.at(
            path.to_string().replace(".?", ""),
            "is not a field of this message; check its spelling",
        );
    });
    unknown.or(message)
}

fn shape_problem(error: serde_path_to_error::Error<serde_json::Error>) -> Problems {
    let path = match error.path().to_string() {
        path if path == "." || path == "?" => "$".to_owned(),
        path => path,
    };
    Problems::one(path, shape_message(&error.into_inner().to_string()))
}

/// Says what is wrong with a shape without repeating what was sent: a document put into the wrong field would otherwise
/// travel into the failure, and a large one would not fit there.
fn shape_message(said: &str) -> String {
    // Whichever quote comes first is the message's own; another one belongs to what was sent.
    let masked = said.find(['"', '`']).and_then(|from| {
        let rest = if said[from..].starts_with('"') {
            "\", expected "
        } else {
            "`, expected "
        };
        let to = said.rfind(rest).filter(|to| from < *to)?;
        Some(format!("{}…{}", &said[..=from], &said[to..]))
    });
    let masked = masked.unwrap_or_else(|| said.to_owned());
    let plain = masked.replace("struct aiworkers.v1.", "an object, ");
    plain.chars().take(MOST_MESSAGE_CHARS).collect()
}

#[cfg(test)]
mod tests;
