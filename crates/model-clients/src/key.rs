//! Where the key of a provider comes from.
//!
//! A key file is read for every call. It is a few dozen bytes next to a call of seconds, so a key that was rotated
//! is used at once; watching the modification time would save nothing and miss two writes within one tick of the
//! file system's clock.

use std::io;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use tokio::io::AsyncReadExt as _;

/// The largest key file that is read, in bytes.
pub const MAX_KEY_BYTES: u64 = 16 * 1024;

/// A key that cannot be used. Never holds any of the key's text.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the key file {path}; check that it exists and that this process may read it")]
    Read {
        /// The key file.
        path: PathBuf,
        /// The error of the file system.
        #[source]
        source: io::Error,
    },
    /// The key is empty or holds characters that a header cannot carry.
    #[error("{origin} holds no usable key; it must be one line of visible ASCII characters")]
    Unusable {
        /// The key file, or the setting.
        origin: String,
    },
    /// The file is far too large for a key.
    #[error("the key file {path} is larger than {MAX_KEY_BYTES} bytes; is it the right file?")]
    TooLarge {
        /// The key file.
        path: PathBuf,
    },
}

/// Where a key comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// No key: the server wants none.
    None,
    /// The key itself, as the configuration gave it.
    Fixed(SecretString),
    /// A file that holds the key.
    File(PathBuf),
}

impl Source {
    /// Gives the key of this moment.
    ///
    /// # Errors
    /// When the file cannot be read or what it holds cannot be a key.
    pub async fn load(&self) -> Result<Option<SecretString>, Error> {
        match self {
            Self::None => Ok(None),
            Self::Fixed(key) => checked(key.expose_secret(), || "the setting `api_key`".to_owned()).map(Some),
            Self::File(path) => {
                let text = read(path).await?;
                checked(text.expose_secret(), || {
                    format!("the key file {}", path.display())
                })
                .map(Some)
            }
        }
    }
}

async fn read(path: &Path) -> Result<SecretString, Error> {
    let failed = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut text = String::new();
    let bytes = file
        .take(MAX_KEY_BYTES + 1)
        .read_to_string(&mut text)
        .await
        .map_err(failed)?;
    let text = SecretString::from(text);
    if u64::try_from(bytes).is_ok_and(|bytes| bytes > MAX_KEY_BYTES) {
        return Err(Error::TooLarge {
            path: path.to_owned(),
        });
    }
    Ok(text)
}

fn checked(text: &str, origin: impl Fn() -> String) -> Result<SecretString, Error> {
    let key = text.trim();
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::Unusable { origin: origin() });
    }
    Ok(SecretString::from(key))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::{Error, MAX_KEY_BYTES, Source};

    #[tokio::test]
    async fn a_rotated_key_is_used_by_the_next_call() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "first\n").unwrap();
        let source = Source::File(path.clone());
        assert_eq!(source.load().await.unwrap().unwrap().expose_secret(), "first");
        std::fs::write(&path, "other\n").unwrap();
        assert_eq!(source.load().await.unwrap().unwrap().expose_secret(), "other");
    }

    #[tokio::test]
    async fn an_unusable_key_is_refused_without_being_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let source = Source::File(path.clone());
        assert!(matches!(source.load().await, Err(Error::Read { .. })));
        for text in ["", " \n", "hush hush", "hush\nhush", "h\u{fc}sh"] {
            std::fs::write(&path, text).unwrap();
            let error = source.load().await.unwrap_err();
            assert!(matches!(error, Error::Unusable { .. }), "{text:?}");
            assert!(!format!("{error} {error:?}").contains("sh\n") && !format!("{error}").contains("hush"));
        }
        std::fs::write(&path, "k".repeat(usize::try_from(MAX_KEY_BYTES).unwrap() + 1)).unwrap();
        assert!(matches!(source.load().await, Err(Error::TooLarge { .. })));
    }

    #[tokio::test]
    async fn a_key_does_not_show_in_debug_output() {
        let source = Source::Fixed("hush".into());
        assert!(!format!("{source:?} {:?}", source.load().await).contains("hush"));
    }
}
