//! Where a run may stage data, as types that only a well-formed path becomes.
//!
//! Deleting by prefix is the one operation that can lose somebody else's data, and a prefix arrives as text from a
//! workflow's input. So it is parsed into a [`StagePrefix`], which is the folder of exactly one run or lies below it;
//! an empty text, `runs/`, or a path with `..` never becomes one, and nothing else can be deleted or written.

use std::fmt;

use crate::Error;

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
        Ok(Self(text.to_owned()))
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
    /// # Errors
    ///
    /// [`Error::Address`] for any other text.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let segments: Vec<_> = text.split('/').collect();
        if segments.len() < 4 || segments.first() != Some(&"runs") || !segments.iter().all(|s| is_segment(s))
        {
            return Err(Error::address(text, PATH_RULE));
        }
        Ok(Self(text.to_owned()))
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
