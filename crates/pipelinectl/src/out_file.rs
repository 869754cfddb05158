//! The file that `--out` names: known to be writable before anything is paid for, and written whole or not at all.
//!
//! The contents go into a file beside the place, which is renamed when it is complete, so that whoever reads the place
//! never finds half an answer and a full disk leaves what was there before. [`check`] begins such a file and takes it
//! away again: one that stayed would lie in the way for as long as the run takes, and for ever when this program is
//! killed. A place that is no ordinary file (a pipe, a terminal) is written directly, because renaming would replace it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tempfile::{Builder, NamedTempFile};

use crate::failure::Failure;

/// Tells whether the file can be written, and leaves nothing behind.
pub(crate) fn check(path: &Path) -> Result<(), Failure> {
    match Place::find(path)? {
        // Opening a pipe would wait for its reader.
        Place::Special => Ok(()),
        Place::File(place) => place.beside(path).map(drop),
    }
}

/// A file that is being written.
pub(crate) struct OutFile {
    path: PathBuf,
    target: Target,
}

enum Target {
    Beside(NamedTempFile, Ordinary),
    Direct(File),
}

/// What the path names.
enum Place {
    File(Ordinary),
    Special,
}

/// A file that is there or can be.
struct Ordinary {
    folder: PathBuf,
    /// The file itself, behind whatever links lead to it.
    file: PathBuf,
    /// The rights of the one that is there.
    rights: Option<fs::Permissions>,
}

impl OutFile {
    /// Begins the file.
    pub(crate) fn begin(path: &Path) -> Result<Self, Failure> {
        let target = match Place::find(path)? {
            Place::File(place) => Target::Beside(place.beside(path)?, place),
            Place::Special => {
                let file = OpenOptions::new().write(true).open(path);
                Target::Direct(file.map_err(|error| cannot(path, &error))?)
            }
        };
        let path = path.to_owned();
        Ok(Self { path, target })
    }

    /// Adds bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = match &mut self.target {
            Target::Beside(file, _) => file.write_all(bytes),
            Target::Direct(file) => file.write_all(bytes),
        };
        written.map_err(|error| broke_off(&self.path, &error))
    }

    /// Puts the file into its place.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let failed = |error: &io::Error| broke_off(&self.path, error);
        let Target::Beside(file, place) = self.target else {
            return Ok(());
        };
        if let Some(rights) = place.rights {
            file.as_file()
                .set_permissions(rights)
                .map_err(|error| failed(&error))?;
        }
        file.as_file().sync_all().map_err(|error| failed(&error))?;
        file.persist(&place.file)
            .map(drop)
            .map_err(|error| failed(&error.error))
    }
}

/// Writes a file whole or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut file = OutFile::begin(path)?;
    file.write(bytes)?;
    file.finish()
}

impl Place {
    fn find(path: &Path) -> Result<Self, Failure> {
        // A link that leads nowhere is looked at itself and will be replaced.
        let file = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let rights = match fs::metadata(&file) {
            Ok(found) if found.is_dir() => {
                return Err(Failure::bad_input(format!(
                    "cannot write {}: it is a folder; name a file in it",
                    path.display()
                )));
            }
            Ok(found) if !found.is_file() => return Ok(Self::Special),
            Ok(found) => {
                // A file that may not be written is not to be replaced either.
                OpenOptions::new()
                    .write(true)
                    .open(&file)
                    .map_err(|error| cannot(path, &error))?;
                Some(found.permissions())
            }
            Err(_) => None,
        };
        let Some(name) = file.file_name() else {
            return Err(Failure::bad_input(format!(
                "`{}` names no file; give a file's name",
                path.display()
            )));
        };
        let folder = match file.parent() {
            Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
            Some(parent) => parent.to_owned(),
            None => PathBuf::from("/"),
        };
        if !folder.is_dir() {
            return Err(Failure::bad_input(format!(
                "cannot write {}: there is no folder {}; make it, or name another file",
                path.display(),
                folder.display()
            )));
        }
        let file = folder.join(name);
        Ok(Self::File(Ordinary { folder, file, rights }))
    }
}

impl Ordinary {
    fn beside(&self, path: &Path) -> Result<NamedTempFile, Failure> {
        Builder::new()
            .prefix(".pipelinectl-")
            .suffix(".partial")
            // As other files are made, and not for its owner alone as temporary ones are.
            .permissions(fs::Permissions::from_mode(0o666))
            .tempfile_in(&self.folder)
            .map_err(|error| cannot(path, &error))
    }
}

/// The kind alone is told: the library's words name the file beside.
fn cannot(path: &Path, error: &io::Error) -> Failure {
    Failure::bad_input(format!(
        "cannot write {}: {}; name a file that can be written",
        path.display(),
        error.kind()
    ))
}

fn broke_off(path: &Path, error: &io::Error) -> Failure {
    Failure::not_saved(format!("cannot write {}: {}", path.display(), error.kind()))
}

#[cfg(test)]
mod tests;
