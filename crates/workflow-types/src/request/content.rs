//! The text of a request: inline or a reference to it.

use crate::{
    problem::Problems,
    proto::{BlobRef, Content, content::Source},
};

/// The most text that travels inline, in bytes.
pub const INLINE_LIMIT_BYTES: usize = 64 * 1024;

/// Where the text is.
#[derive(Debug, Clone, PartialEq)]
pub enum ContentSource {
    /// Here.
    Inline(String),
    /// In the blob store.
    Blob(BlobRef),
}

impl ContentSource {
    /// Tells whether the text is elsewhere.
    pub fn is_reference(&self) -> bool {
        match self {
            Self::Inline(_) => false,
            Self::Blob(_) => true,
        }
    }

    /// Gives the size of inline text in bytes.
    pub fn inline_bytes(&self) -> Option<usize> {
        match self {
            Self::Inline(text) => Some(text.len()),
            Self::Blob(_) => None,
        }
    }
}

impl From<ContentSource> for Content {
    fn from(source: ContentSource) -> Self {
        let source = match source {
            ContentSource::Inline(text) => Source::Text(text),
            ContentSource::Blob(blob) => Source::Blob(blob),
        };
        Self { source: Some(source) }
    }
}

/// Parses content; paths are relative to it.
///
/// # Errors
///
/// That it is absent, empty, too large to be inline, or not a usable reference.
pub fn parse_content(content: Option<Content>) -> Result<ContentSource, Problems> {
    match content.and_then(|content| content.source) {
        None => Err(Problems::one(
            "text",
            "content is missing; set content.text or content.blob",
        )),
        Some(Source::Text(text)) if text.trim().is_empty() => Err(Problems::one("text", "is empty")),
        Some(Source::Text(text)) if text.len() > INLINE_LIMIT_BYTES => Err(Problems::one(
            "text",
            format!(
                "is {} bytes; above {INLINE_LIMIT_BYTES} send it as content.blob",
                text.len()
            ),
        )),
        Some(Source::Text(text)) => Ok(ContentSource::Inline(text)),
        Some(Source::Blob(blob)) => match parse_blob(blob) {
            Ok(blob) => Ok(ContentSource::Blob(blob)),
            Err(found) => {
                let mut problems = Problems::new();
                problems.extend_below("blob", found);
                Err(problems)
            }
        },
    }
}

/// Parses a reference to a blob; whether it exists is the data-worker's to find out.
///
/// # Errors
///
/// What is wrong with its address or its hash.
pub fn parse_blob(blob: BlobRef) -> Result<BlobRef, Problems> {
    let mut problems = Problems::new();
    let path = blob
        .uri
        .strip_prefix("blob:")
        .or_else(|| blob.uri.strip_prefix("file://"));
    match path {
        None => problems.at("uri", "must begin with blob: or file:///"),
        Some(path) if path.is_empty() || path.split('/').any(|part| part == ".." || part == ".") => {
            problems.at("uri", "must name an object, without . or .. in its path");
        }
        Some(path) if path.chars().any(char::is_control) => {
            problems.at("uri", "must not hold control characters");
        }
        Some(_) => {}
    }
    if blob
        .uri
        .strip_prefix("file://")
        .is_some_and(|path| !path.starts_with('/'))
    {
        problems.at("uri", "must be an absolute path: file:///path");
    }
    let hex = |hash: &String| {
        hash.len() == 64 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    if blob.sha256.as_ref().is_some_and(|hash| !hex(hash)) {
        problems.at("sha256", "must be 64 lower-case hexadecimal digits");
    }
    if blob.size_bytes.is_some_and(|size| size < 0) {
        problems.at("sizeBytes", "must not be negative");
    }
    problems.or(blob)
}
