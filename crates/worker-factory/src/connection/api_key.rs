//! An API key in a file, read again when it changes.
//!
//! Keys rotate while workers run. The file is compared by its content at a fixed interval rather than
//! watched: a Kubernetes secret changes by swapping a symbolic link two levels up, which file watchers
//! miss, and reading a hundred bytes every ten seconds costs nothing.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use temporalio_client::Connection;

use crate::fields;

/// Why an API key could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("the API key file {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// The file holds something else than a key.
    #[error("the API key file {} holds a character that no header can carry; write the key alone into it", path.display())]
    Unsendable {
        /// The file.
        path: PathBuf,
    },
    /// The file holds nothing.
    #[error("the API key file {} is empty; write the key into it", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// Reads a key, without the white space around it.
///
/// # Errors
///
/// Returns an error when the file cannot be read, is not UTF-8, is empty, or holds what cannot be a key.
pub fn read(path: &Path) -> Result<String, Error> {
    let text = fs::read_to_string(path).map_err(|source| Error::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let key = text.trim();
    if key.is_empty() {
        Err(Error::Empty {
            path: path.to_owned(),
        })
    } else if can_be_sent(key) {
        Ok(key.to_owned())
    } else {
        Err(Error::Unsendable {
            path: path.to_owned(),
        })
    }
}

/// Tells whether a key fits into a header; the SDK sends none at all in place of one that does not.
pub(super) fn can_be_sent(key: &str) -> bool {
    key.chars()
        .all(|character| character.is_ascii_graphic() || character == ' ')
}

/// Holds the key in use and tells when another one is in the file.
#[derive(Debug)]
pub struct Watch {
    path: PathBuf,
    current: crate::Secret,
    failing: bool,
}

impl Watch {
    /// Starts from the key that the connection was made with.
    #[must_use]
    pub fn new(path: PathBuf, current: &str) -> Self {
        Self {
            path,
            current: crate::Secret::new(current),
            failing: false,
        }
    }

    /// Returns a key that differs from the last one, or `None`.
    ///
    /// A file that cannot be read, or is empty for the moment of its replacement, keeps the old key; that
    /// is logged once, not at every look.
    pub fn look(&mut self) -> Option<String> {
        match read(&self.path) {
            Ok(key) => {
                self.failing = false;
                (key != self.current.expose()).then(|| {
                    self.current = crate::Secret::new(key.clone());
                    key
                })
            }
            Err(error) => {
                if !self.failing {
                    tracing::warn!({ fields::ERROR } = %error, "the API key was not refreshed; the old one stays");
                }
                self.failing = true;
                None
            }
        }
    }

    /// Looks at the file for ever and hands each new key to the connection.
    pub async fn follow(mut self, connection: Connection, interval: Duration) {
        loop {
            tokio::time::sleep(interval).await;
            if let Some(key) = self.look() {
                connection.set_api_key(Some(key));
                tracing::info!("the API key was replaced from its file");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Watch, read};

    #[test]
    fn a_changed_file_gives_the_new_key_once_and_a_broken_one_keeps_the_old() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let write = |text: &str| std::fs::write(file.path(), text).unwrap();
        write("one\n");
        let mut watch = Watch::new(file.path().to_owned(), "one");
        assert_eq!(watch.look(), None);
        write("  two  ");
        assert_eq!(watch.look().as_deref(), Some("two"));
        assert_eq!(watch.look(), None);
        write("");
        assert_eq!(watch.look(), None);
        assert!(read(file.path()).unwrap_err().to_string().contains("is empty"));
        write("thr\nee");
        assert_eq!(watch.look(), None);
        assert!(read(file.path()).unwrap_err().to_string().contains("no header"));
        write("three");
        assert_eq!(watch.look().as_deref(), Some("three"));
        assert!(!format!("{watch:?}").contains("three"));
    }
}
