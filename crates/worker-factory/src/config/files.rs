//! The files that a configuration names, looked at before anything is started.
//!
//! A key file that was never mounted shows otherwise as a worker that ends while it is composed, or worse, as a first call
//! that fails hours later. What is in a file is not looked at here: that is for whoever reads it.

use std::{fs::File, io, path::PathBuf};

use super::Problem;

/// A file that has to be readable when the process starts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NamedFile {
    /// The path of the key that names it.
    pub key: String,
    /// The file.
    pub path: PathBuf,
    /// What to do when it is not there, as a clause.
    pub remedy: &'static str,
}

impl NamedFile {
    /// Names a file for which there is nothing to do but to create it or to correct the key.
    pub fn new(key: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self {
            key: key.into(),
            path: path.into(),
            remedy: "create it, or correct the path",
        }
    }

    fn problem(&self) -> Option<Problem> {
        let file = self.path.display();
        let message = match self.path.metadata() {
            Ok(found) if found.is_dir() => format!("{file} is a folder; name a file"),
            // Opening a pipe would take what its reader is waiting for.
            Ok(found) if !found.is_file() => return None,
            Ok(_) => match File::open(&self.path) {
                Ok(_) => return None,
                Err(error) => format!("the file {file} cannot be read ({error}); let this process read it"),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                format!("the file {file} does not exist; {}", self.remedy)
            }
            Err(error) => format!("the file {file} cannot be reached ({error}); {}", self.remedy),
        };
        Some(Problem::new(&self.key, message))
    }
}

/// Says which of the files cannot be read.
pub fn unreadable(files: &[NamedFile]) -> Vec<Problem> {
    files.iter().filter_map(NamedFile::problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_and_a_folder_are_problems_and_a_file_and_a_pipe_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("key");
        std::fs::write(&there, "k").unwrap();
        let files = [
            NamedFile::new("a", &there),
            NamedFile::new("b", folder.path()),
            NamedFile::new("c", folder.path().join("gone")),
            NamedFile::new("d", there.join("below")),
            NamedFile::new("e", "/dev/null"),
        ];
        let found = unreadable(&files);
        let keys: Vec<&str> = found.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, ["b", "c", "d"]);
        assert!(
            found[1]
                .message
                .ends_with("does not exist; create it, or correct the path")
        );
    }
}
