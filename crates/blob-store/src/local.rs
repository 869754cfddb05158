//! A local folder as a store: where it is, that nothing leaves it, and how a run's folder goes.
//!
//! `object_store` writes to a temporary file beside the target and renames it, so an object is whole or absent, and
//! with its `fsync` on (as here) a reference that was handed out survives a power cut. Two things it does not do. It
//! follows symbolic links out of its root, so every path is resolved before use; somebody who can swap a folder for a
//! link between that and the use has write access to the store and needs no such trick. And it doesn't list the
//! temporary files of killed processes, so a run's folder is removed as a whole and not object by object.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use object_store::{ObjectStore, local::LocalFileSystem, path::Path as ObjectPath};
use url::Url;

use crate::{Error, StagePrefix};

/// The root folder of a local store, resolved.
#[derive(Debug, Clone)]
pub(crate) struct LocalRoot(PathBuf);

impl LocalRoot {
    /// Creates the folder if it is missing and opens it as a store.
    pub(crate) fn open(
        url: &Url,
    ) -> Result<(Self, Arc<dyn ObjectStore>), Box<dyn std::error::Error + Send + Sync>> {
        let folder = url.to_file_path().map_err(|()| "not an absolute path")?;
        fs::create_dir_all(&folder)?;
        let root = folder.canonicalize()?;
        let store = LocalFileSystem::new_with_prefix(&root)?.with_fsync(true);
        Ok((Self(root), Arc::new(store)))
    }

    /// Refuses an object whose file would lie outside the root or is no file.
    pub(crate) async fn check(&self, path: &ObjectPath, uri: &str) -> Result<(), Error> {
        let (root, file, uri) = (self.0.clone(), self.file(path.as_ref()), uri.to_owned());
        blocking(move || {
            inside(&root, &file, &uri)?;
            match fs::metadata(&file) {
                Ok(found) if !found.is_file() => Err(Error::NotFound { uri }),
                // Absence is for the operation itself to report.
                Ok(_) | Err(_) => Ok(()),
            }
        })
        .await
    }

    /// Removes a folder of a run with all that is in it and counts the objects; links are removed, not followed.
    pub(crate) async fn remove(&self, prefix: &StagePrefix) -> Result<u64, Error> {
        let (root, uri) = (self.0.clone(), format!("blob:{prefix}"));
        let folder = self.file(prefix.as_str());
        blocking(move || {
            let Some(parent) = folder.parent() else {
                return Ok(0);
            };
            inside(&root, parent, &uri)?;
            let removed = count(&folder).and_then(|objects| fs::remove_dir_all(&folder).map(|()| objects));
            match removed {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
                Err(error) => Err(Error::storage("delete", &uri, error)),
                Ok(objects) => Ok(objects),
            }
        })
        .await
    }

    fn file(&self, path: &str) -> PathBuf {
        path.split('/')
            .filter(|segment| !segment.is_empty())
            .fold(self.0.clone(), |file, part| file.join(part))
    }
}

/// Runs file work off the runtime's threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::storage("read or write", "a file", error)),
    }
}

/// Refuses a file whose nearest existing ancestor lies outside the root.
fn inside(root: &Path, file: &Path, uri: &str) -> Result<(), Error> {
    let resolved = file.ancestors().find_map(|ancestor| ancestor.canonicalize().ok());
    if resolved.is_some_and(|path| path.starts_with(root) || root.starts_with(path)) {
        return Ok(());
    }
    Err(Error::Forbidden {
        uri: uri.to_owned(),
        reason: "a symbolic link leads out of the store's folder",
    })
}

/// Counts the files below a folder; those that a killed process left half-written have no object's name.
fn count(folder: &Path) -> io::Result<u64> {
    let mut objects = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            objects += count(&entry.path())?;
        } else if !entry.file_name().to_string_lossy().contains('#') {
            objects += 1;
        }
    }
    Ok(objects)
}
