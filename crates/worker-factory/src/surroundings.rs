//! What a process finds around it, for the options that nobody set.
//!
//! Only a binary reads the environment. It hands it over whole, and what is taken from it is decided in one place for all
//! workers, so that two of them on one machine find the same folders and the same cloud identity.

use std::ffi::OsString;

use crate::Places;

/// The folders of the user and the variables of the process.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Where things are kept on a single machine; `None` without a home folder.
    pub places: Option<Places>,
    /// The variables that are text, in the environment's order.
    pub variables: Vec<(String, String)>,
}

impl Surroundings {
    /// Takes what matters out of the environment.
    pub fn of(env: &[(OsString, OsString)]) -> Self {
        let text = |value: &OsString| value.to_str().map(str::to_owned);
        Self {
            places: Places::resolve(env),
            variables: env
                .iter()
                .filter_map(|(name, value)| Some((text(name)?, text(value)?)))
                .collect(),
        }
    }

    /// Gives the URL of a folder below the user's state folder, if there is one.
    pub fn folder_url(&self, name: &str) -> Option<String> {
        self.places.as_ref().map(|places| places.folder_url(name))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn variables_that_are_no_text_are_left_out_and_folders_are_found() {
        let env = [
            ("HOME".into(), "/home/me".into()),
            ("RAW".into(), OsString::from_vec(vec![0xff])),
        ];
        let around = Surroundings::of(&env);
        assert_eq!(around.variables, [("HOME".to_owned(), "/home/me".to_owned())]);
        assert_eq!(
            around.folder_url("blobs").as_deref(),
            Some("file:///home/me/.local/state/temporal-ai-workers/blobs/")
        );
        assert_eq!(Surroundings::default().folder_url("blobs"), None);
    }
}
