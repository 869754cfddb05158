//! Where the server's programs are, and who may run them.
//!
//! Debian keeps them off the `PATH`, one folder for each major version, so that several can be installed; the newest
//! is taken.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, system};

/// Names the folder with `initdb` and `postgres`; without it they are looked for.
pub const BIN_VARIABLE: &str = "TAW_TEST_POSTGRES_BIN";

/// Where distributions put them: a folder with one folder for each version.
const VERSIONED: [(&str, &str); 3] = [
    ("/usr/lib/postgresql", "bin"),
    ("/opt/homebrew/opt", "bin"),
    ("/usr/local/opt", "bin"),
];

/// Who runs the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunAs {
    /// Whoever runs the test.
    Self_,
    /// Another user, because root runs the test.
    User {
        /// The user's id.
        uid: u32,
        /// The id of the user's group.
        gid: u32,
    },
}

/// Finds the folder with the server's programs.
///
/// # Errors
///
/// [`Error::Missing`] if there is none.
pub fn find() -> Result<PathBuf, Error> {
    if let Some(given) = std::env::var_os(BIN_VARIABLE).filter(|given| !given.is_empty()) {
        return holds(Path::new(&given))
            .then(|| given.into())
            .ok_or(Error::Missing);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).find(|folder| holds(folder));
    found.or_else(installed).ok_or(Error::Missing)
}

fn holds(folder: &Path) -> bool {
    ["initdb", "postgres"]
        .iter()
        .all(|program| folder.join(program).is_file())
}

fn installed() -> Option<PathBuf> {
    let newest = |(parent, bin): (&str, &str)| {
        let entries = std::fs::read_dir(parent).ok()?;
        let folders = entries.filter_map(|entry| Some(entry.ok()?.path()));
        folders
            .filter(|folder| holds(&folder.join(bin)))
            .max_by_key(|folder| version(folder.file_name()?.to_str()?))
            .map(|folder| folder.join(bin))
    };
    VERSIONED.into_iter().find_map(newest)
}

/// Reads the version of `15`, `postgresql@17` and the like.
fn version(name: &str) -> Option<u32> {
    name.trim_start_matches(|letter: char| !letter.is_ascii_digit())
        .parse()
        .ok()
}

/// Decides who runs the server.
pub(crate) fn run_as() -> Result<RunAs, Error> {
    if id(&["-u"])? != Some(0) {
        return Ok(RunAs::Self_);
    }
    for name in ["postgres", "nobody"] {
        if let (Some(uid), Some(gid)) = (id(&["-u", name])?, id(&["-g", name])?) {
            return Ok(RunAs::User { uid, gid });
        }
    }
    Err(Error::NoUser)
}

fn id(question: &[&str]) -> Result<Option<u32>, Error> {
    let asked = Command::new("id")
        .args(question)
        .output()
        .map_err(system("ask for a user's id"))?;
    Ok(String::from_utf8_lossy(&asked.stdout).trim().parse().ok())
}

/// Prepares one of the programs: as the right user, in the cluster's folder, and with none of the caller's settings.
pub(crate) fn command(program: impl AsRef<OsStr>, run_as: RunAs, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("LC_ALL", "C")
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .current_dir(folder)
        .stdin(std::process::Stdio::null());
    if let RunAs::User { uid, gid } = run_as {
        std::os::unix::process::CommandExt::uid(&mut command, uid);
        std::os::unix::process::CommandExt::gid(&mut command, gid);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_told_by_number_and_not_by_text() {
        let names = ["9", "postgresql@17", "15", "libpq"];
        let newest = names.into_iter().max_by_key(|name| version(name));
        assert_eq!(newest, Some("postgresql@17"));
    }
}
