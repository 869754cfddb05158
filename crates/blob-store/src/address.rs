//! What the address of a reference points to.
//!
//! `blob:` names an object inside the one configured store, so a workflow's input can never choose a bucket or a host.
//! `file:` names a file of the machine and is refused unless the options allow it: on a server it would hand the
//! worker's own files to whoever can start a workflow.

use std::path::PathBuf;

use object_store::path::Path;
use url::Url;

use crate::Error;

/// Where bytes are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// An object of the configured store.
    Object(Path),
    /// A file of this machine.
    File(PathBuf),
}

impl Address {
    /// Parses `blob:<path>` or `file:///path`.
    pub(crate) fn parse(uri: &str, allow_files: bool) -> Result<Self, Error> {
        if let Some(path) = uri.strip_prefix("blob:") {
            return object(uri, path).map(Self::Object);
        }
        if !uri.starts_with("file:") {
            return Err(Error::address(
                uri,
                "is not a reference; it must begin with blob: or file:///",
            ));
        }
        if !allow_files {
            return Err(Error::Forbidden {
                uri: uri.to_owned(),
                reason: "upload the file and reference it as blob:, or set allow_file_references on a developer's \
                         machine",
            });
        }
        file(uri).map(Self::File)
    }
}

fn object(uri: &str, path: &str) -> Result<Path, Error> {
    // `Path::parse` lets a slash at either end pass; two spellings of one object would be two identities.
    if path.is_empty() || path.starts_with('/') || path.ends_with('/') {
        return Err(Error::address(
            uri,
            "must name an object: blob:<path>, without a slash at either end",
        ));
    }
    Path::parse(path).map_err(|_| {
        Error::address(
            uri,
            "has a path with an empty segment, `.`, `..` or a control character",
        )
    })
}

fn file(uri: &str) -> Result<PathBuf, Error> {
    let url = Url::parse(uri)
        .ok()
        .filter(|url| uri.starts_with("file:///") && url.query().is_none() && url.fragment().is_none());
    url.and_then(|url| url.to_file_path().ok()).ok_or_else(|| {
        Error::address(
            uri,
            "must be an absolute path, file:///path, with `?` and `#` percent-encoded",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_named_by_its_path_as_it_stands() {
        for path in ["a.txt", "inbox/a b.txt", "runs/x%2Fy/r/ü.txt"] {
            let address = Address::parse(&format!("blob:{path}"), false).unwrap();
            assert_eq!(address, Address::Object(Path::parse(path).unwrap()));
        }
        for path in ["", "/", "/a", "a/", "a//b", "a/../b", "./a", "a\u{7}b"] {
            let error = Address::parse(&format!("blob:{path}"), true).unwrap_err();
            assert!(matches!(error, Error::Address { .. }), "{path:?}");
        }
    }

    #[test]
    fn a_file_is_read_only_where_that_is_allowed() {
        let uri = "file:///tmp/a%20b.txt";
        assert_eq!(
            Address::parse(uri, true).unwrap(),
            Address::File("/tmp/a b.txt".into())
        );
        let refused = Address::parse(uri, false).unwrap_err();
        assert!(matches!(refused, Error::Forbidden { .. }));
        assert!(refused.to_string().contains("allow_file_references"), "{refused}");
    }

    #[test]
    fn other_addresses_are_refused() {
        for uri in [
            "s3://b/k",
            "http://h/x",
            "/etc/passwd",
            "",
            "file:relative",
            "file://host/x",
            "file:///a#1",
        ] {
            assert!(
                matches!(Address::parse(uri, true), Err(Error::Address { .. })),
                "{uri:?}"
            );
        }
    }
}
