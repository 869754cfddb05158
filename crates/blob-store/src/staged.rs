//! Where a run may stage data, as types that only a well-formed path becomes.
//!
//! Deleting by prefix is the one operation that can lose somebody else's data, and a prefix arrives as text from a
//! workflow's input. So it is parsed into a [`StagePrefix`], which is the folder of exactly one run or lies below it;
//! an empty text, `runs/`, or a path with `..` never becomes one, and nothing else can be deleted or written.
//!
//! A workflow id may have 1,000 bytes, three times as many once percent-encoded, and no file system takes that as the
//! name of a folder. A name that is too long is kept as its hash, by parsing, so that whoever is handed the same prefix
//! comes to the same place. Refusing such an id instead would be news for a run that any client has started already.

use std::fmt;

use crate::{Error, digest::Digest};

/// The longest name of a folder that file systems take, in bytes.
const LONGEST_NAME_BYTES: usize = 255;

const SEGMENT_RULE: &str =
    "has a segment that is empty, `.`, `..`, or holds more than letters, digits and `._-%`";
const PREFIX_RULE: &str = "is not the prefix of a run; it must be runs/<workflow id>/<run id>/";
const PATH_RULE: &str = "is not a path below a run; it must be runs/<workflow id>/<run id>/<name>";

/// The folder of one run, `runs/<workflow id>/<first run id>/`, or a folder below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagePrefix(String);

impl StagePrefix {
    /// Parses the prefix of a run: exactly `runs/<workflow id>/<first run id>/`.
    ///
    /// An id above 255 bytes stands in the place as `sha256-` and its hash.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] for any other text.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let segments: Vec<_> = text.strip_suffix('/').unwrap_or_default().split('/').collect();
        let [root, ids @ ..] = segments.as_slice() else {
            return Err(Error::address(text, PREFIX_RULE));
        };
        if *root != "runs" || ids.len() != 2 || !ids.iter().all(|id| is_segment(id)) {
            return Err(Error::address(text, PREFIX_RULE));
        }
        Ok(Self(kept(text)))
    }

    /// Gives a folder below this one; `name` may have several segments.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] when the name is not made of plain segments.
    pub fn folder(&self, name: &str) -> Result<Self, Error> {
        let folder = format!("{}{name}/", self.0);
        if name.split('/').all(is_segment) {
            Ok(Self(folder))
        } else {
            Err(Error::address(&folder, SEGMENT_RULE))
        }
    }

    /// Gives the path of an object below this folder; `name` may have several segments.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] when the name is not made of plain segments.
    pub fn path(&self, name: &str) -> Result<StagedPath, Error> {
        let path = format!("{}{name}", self.0);
        if name.split('/').all(is_segment) {
            Ok(StagedPath(path))
        } else {
            Err(Error::address(&path, SEGMENT_RULE))
        }
    }

    /// Gives the prefix as text, with its last slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StagePrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The path of an object that a run stages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedPath(String);

impl StagedPath {
    /// Parses `runs/<workflow id>/<first run id>/<name>`; the name may have several segments.
    ///
    /// A segment above 255 bytes stands in the place as `sha256-` and its hash.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] for any other text.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let segments: Vec<_> = text.split('/').collect();
        if segments.len() < 4 || segments.first() != Some(&"runs") || !segments.iter().all(|s| is_segment(s))
        {
            return Err(Error::address(text, PATH_RULE));
        }
        Ok(Self(kept(text)))
    }

    /// Gives the path inside the store.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Gives the reference's address: `blob:<path>`.
    pub fn uri(&self) -> String {
        format!("blob:{}", self.0)
    }
}

impl fmt::Display for StagedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Gives a path as it is kept, with a hash for every segment that is too long for a name.
///
/// An id that is spelt like another one's hash shares that folder and nothing below it: the first run id, which the
/// server makes, and the hashes that name uploads are different ones.
fn kept(path: &str) -> String {
    let segments: Vec<String> = path
        .split('/')
        .map(|segment| {
            if segment.len() <= LONGEST_NAME_BYTES {
                return segment.to_owned();
            }
            let mut digest = Digest::default();
            digest.update(segment.as_bytes());
            format!("sha256-{}", digest.hex())
        })
        .collect();
    segments.join("/")
}

/// Tells whether a text is one segment as `run_scope::percent_encode` writes it.
fn is_segment(text: &str) -> bool {
    !matches!(text, "" | "." | "..")
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'%'))
}

#[cfg(test)]
mod tests {
    use workflow_types::run_scope::RunScope;

    use super::*;

    #[test]
    fn what_a_run_is_told_to_use_is_taken() {
        let scope = RunScope::new("default", "../a b/ü", "0192-run");
        let prefix = StagePrefix::parse(&scope.stage_prefix()).unwrap();
        assert_eq!(prefix.as_str(), "runs/..%2Fa%20b%2F%C3%BC/0192-run/");
        assert_eq!(
            prefix.folder("staged").unwrap().as_str(),
            format!("{prefix}staged/")
        );
        let path = prefix.path("results/parts/000001.jsonl").unwrap();
        assert_eq!(StagedPath::parse(path.as_str()).unwrap(), path);
        assert_eq!(path.uri(), format!("blob:{prefix}results/parts/000001.jsonl"));
    }

    #[tokio::test]
    async fn an_id_too_long_for_a_folder_is_kept_by_its_hash_and_found_and_removed_by_everybody() {
        let folder = tempfile::tempdir().unwrap();
        let url = url::Url::from_directory_path(folder.path()).unwrap().to_string();
        let store = crate::BlobStore::open(&crate::Options {
            url,
            ..crate::Options::default()
        })
        .unwrap();
        let scope = RunScope::new("default", &"ü".repeat(100), "run-1");
        let prefix = StagePrefix::parse(&scope.stage_prefix()).unwrap();
        assert!(prefix.as_str().len() < LONGEST_NAME_BYTES, "{prefix}");
        assert_eq!(StagePrefix::parse(prefix.as_str()).unwrap(), prefix);
        let path = prefix.path("chunks/0").unwrap();
        let whole = format!("{}chunks/0", scope.stage_prefix());
        assert_eq!(StagedPath::parse(&whole).unwrap(), path, "from either spelling");

        let blob = store.put(&path, b"words", "text/plain").await.unwrap();
        assert_eq!(store.get(&blob, 100).await.unwrap(), "words");
        let other = RunScope::new("default", &"ö".repeat(100), "run-1").stage_prefix();
        assert_eq!(
            store
                .delete_prefix(&StagePrefix::parse(&other).unwrap())
                .await
                .unwrap(),
            0
        );
        assert_eq!(store.delete_prefix(&prefix).await.unwrap(), 1);
    }

    #[test]
    fn the_longest_name_that_a_folder_can_have_is_kept_as_it_is() {
        for (length, same) in [(LONGEST_NAME_BYTES, true), (LONGEST_NAME_BYTES + 1, false)] {
            let text = format!("runs/{}/run-1/", "a".repeat(length));
            let prefix = StagePrefix::parse(&text).unwrap();
            assert_eq!(prefix.as_str() == text, same, "{prefix}");
        }
    }

    #[test]
    fn nothing_wider_than_one_run_is_a_prefix() {
        for text in [
            "",
            "/",
            "runs",
            "runs/",
            "runs//",
            "runs/a/",
            "runs/a/b",
            "runs/a/b/c/",
            "runs/a//",
            "runs/../b/",
            "runs/a/../",
            "runs/./b/",
            "/runs/a/b/",
            "inbox/a/b/",
            "runs/a b/c/",
            "runs/a/b/\u{0}/",
            "runs\\a\\b\\",
        ] {
            assert!(StagePrefix::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_name_cannot_climb_out_of_its_folder() {
        let prefix = StagePrefix::parse("runs/a/b/").unwrap();
        for name in ["", "..", "../x", "x/../y", "/x", "x/", "x//y", ".", "a#1", "a\\b"] {
            assert!(prefix.path(name).is_err(), "{name:?}");
            assert!(prefix.folder(name).is_err(), "{name:?}");
        }
        for text in ["runs/a/b", "runs/a/b/", "a/b/c/d", "runs/a/b/../c/d"] {
            assert!(StagedPath::parse(text).is_err(), "{text:?}");
        }
    }
}
