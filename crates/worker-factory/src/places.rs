//! Where a worker keeps things on a single machine when nobody says where.
//!
//! The set-up tool, the command-line tool and both workers have to agree on these folders without talking to each
//! other, so they follow the XDG base directories and one overriding variable. A cluster sets explicit addresses and
//! never comes here.

use std::{
    ffi::OsString,
    fmt::Write as _,
    path::{Path, PathBuf},
};

/// The folder that every place is below.
const PROJECT: &str = "temporal-ai-workers";

/// Folders of the user who runs the process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Places {
    cache: PathBuf,
    state: PathBuf,
}

impl Places {
    /// Derives the folders from environment variables: `TAW_CACHE` and `TAW_STATE`, else `XDG_CACHE_HOME` and
    /// `XDG_STATE_HOME`, else below `HOME`. Gives `None` when none of them is an absolute path.
    pub fn resolve(env: &[(OsString, OsString)]) -> Option<Self> {
        let absolute = |name: &str| {
            let value = env
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| PathBuf::from(value));
            value.filter(|path| path.is_absolute())
        };
        let below_home = |folder: &str| absolute("HOME").map(|home| home.join(folder));
        let place = |own: &str, xdg: &str, folder: &str| {
            absolute(own).or_else(|| {
                let base = absolute(xdg).or_else(|| below_home(folder));
                base.map(|base| base.join(PROJECT))
            })
        };
        Some(Self {
            cache: place("TAW_CACHE", "XDG_CACHE_HOME", ".cache")?,
            state: place("TAW_STATE", "XDG_STATE_HOME", ".local/state")?,
        })
    }

    /// Gives the folder of what set-up unpacked: models and programs.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// Gives the URL of a folder below the state folder.
    pub fn folder_url(&self, name: &str) -> String {
        let mut url = String::from("file://");
        for byte in self.state.join(name).as_os_str().as_encoded_bytes() {
            match byte {
                b'/' | b'.' | b'_' | b'-' => url.push(char::from(*byte)),
                byte if byte.is_ascii_alphanumeric() => url.push(char::from(*byte)),
                // Writing to a String can't fail.
                byte => {
                    let _written = write!(url, "%{byte:02X}");
                }
            }
        }
        url.push('/');
        url
    }

    /// Gives the folder of what workers write: the journal and blobs.
    pub fn state(&self) -> &Path {
        &self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(pairs: &[(&str, &str)]) -> Option<Places> {
        let env: Vec<_> = pairs
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect();
        Places::resolve(&env)
    }

    #[test]
    fn the_nearest_word_wins() {
        let all = [
            ("HOME", "/h"),
            ("XDG_CACHE_HOME", "/c"),
            ("XDG_STATE_HOME", "/s"),
            ("TAW_CACHE", "/own"),
        ];
        let places = resolve(&all).unwrap();
        assert_eq!(places.cache(), Path::new("/own"));
        assert_eq!(places.state(), Path::new("/s/temporal-ai-workers"));
        let places = resolve(&all[..1]).unwrap();
        assert_eq!(places.cache(), Path::new("/h/.cache/temporal-ai-workers"));
        assert_eq!(places.state(), Path::new("/h/.local/state/temporal-ai-workers"));
    }

    #[test]
    fn a_folder_s_url_survives_any_name() {
        let places = resolve(&[("TAW_CACHE", "/c"), ("TAW_STATE", "/a b/50%")]).unwrap();
        assert_eq!(places.folder_url("blobs"), "file:///a%20b/50%25/blobs/");
    }

    #[test]
    fn a_relative_folder_is_no_place() {
        assert_eq!(resolve(&[("HOME", "home")]), None);
        assert_eq!(resolve(&[]), None);
    }
}
