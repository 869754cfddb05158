//! The repository's files, and how offences are reported.

use std::{fs, path::Path, process::Command};

/// One text file.
pub(crate) struct File {
    /// The path from the repository's root, with `/`.
    pub(crate) path: String,
    /// What it holds.
    pub(crate) text: String,
}

impl File {
    /// Makes a file that exists nowhere, to try a rule on.
    pub(crate) fn invented(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    /// Tells whether the name ends in `.` and the extension.
    pub(crate) fn is(&self, extension: &str) -> bool {
        Path::new(&self.path)
            .extension()
            .is_some_and(|found| found == extension)
    }

    /// Gives the folder that the file is in; empty for the root.
    pub(crate) fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }
}

/// All files that git tracks or would track.
pub(crate) struct Tree {
    /// Every path, those of binary files included.
    pub(crate) paths: Vec<String>,
    /// The text files.
    pub(crate) files: Vec<File>,
}

impl Tree {
    /// Reads the repository that this test was built in.
    pub(crate) fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned();
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&root)
            .output()
            .expect("git lists the files; install it");
        assert!(
            listed.status.success(),
            "git can't list the files of {}: {}",
            root.display(),
            String::from_utf8_lossy(&listed.stderr)
        );
        let mut paths: Vec<String> = String::from_utf8(listed.stdout)
            .unwrap()
            .split_terminator('\0')
            // A file that is deleted and not yet committed is still listed.
            .filter(|path| root.join(path).is_file())
            .map(str::to_owned)
            .collect();
        paths.sort();
        paths.dedup();
        assert!(paths.len() > 100, "git lists only {} files", paths.len());
        let files = paths
            .iter()
            .filter_map(|path| {
                let text = fs::read_to_string(root.join(path)).ok()?;
                Some(File {
                    path: path.clone(),
                    text,
                })
            })
            .collect();
        Self { paths, files }
    }

    /// Gives the files with an extension.
    pub(crate) fn with_extension(&self, extension: &str) -> impl Iterator<Item = &File> {
        self.files.iter().filter(move |file| file.is(extension))
    }

    /// Gives one file.
    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Tells whether there is a file or a folder of this path.
    pub(crate) fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let below = format!("{path}/");
        path.is_empty()
            || self
                .paths
                .iter()
                .any(|known| known == path || known.starts_with(&below))
    }

    /// Tells whether there is a file or folder whose path begins so.
    pub(crate) fn has_prefix(&self, prefix: &str) -> bool {
        self.paths.iter().any(|known| known.starts_with(prefix))
    }
}

/// Fails with every offence and what to do about it.
pub(crate) fn report(remedy: &str, offences: impl IntoIterator<Item = String>) {
    let mut offences: Vec<String> = offences.into_iter().collect();
    offences.sort();
    offences.dedup();
    assert!(
        offences.is_empty(),
        "\n{} offence(s):\n  {}\nwhat to do: {remedy}\n",
        offences.len(),
        offences.join("\n  ")
    );
}

/// Joins a path below a folder, resolving `.` and `..`; gives nothing when it leaves the root.
pub(crate) fn resolve(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[test]
fn a_relative_path_is_resolved_inside_the_tree_only() {
    assert_eq!(resolve("docs/guide", "../a.md").as_deref(), Some("docs/a.md"));
    assert_eq!(resolve("", "./a/../b.md").as_deref(), Some("b.md"));
    assert_eq!(resolve("docs", "../../outside.md"), None);
}

#[test]
#[should_panic(expected = "2 offence(s):\n  a\n  b\nwhat to do: mend")]
fn a_report_names_every_offender_once_and_the_remedy() {
    report("mend", ["b".to_owned(), "a".to_owned(), "b".to_owned()]);
}
