//! Text that is too large to travel, into the workers' blob store.
//!
//! Uploads lie below the workflow's own folder, `runs/<workflow id>/uploads/<sha256>`: whoever deletes what belongs to
//! a workflow id finds them, and clean-up of a run, which knows only its own run's folder, can't. They are named by
//! their hash, so that starting again under the same id writes the same objects and never changes what a running
//! workflow reads.

use std::{collections::BTreeMap, path::Path};

use blob_store::{BlobStore, Options, StagedPath};
use sha2::{Digest as _, Sha256};
use temporal_client::Client;
use tokio::{fs::File, io::AsyncReadExt as _};
use workflow_types::{problem::Problems, proto::BlobRef, run_scope::percent_encode};

use crate::{
    cli::BlobStoreArgs,
    digest::hex,
    failure::Failure,
    session::{Session, local_dev},
};

const PIECE_BYTES: usize = 256 * 1024;

/// Where the uploads of one workflow go.
pub(super) struct Uploads {
    store: BlobStore,
    folder: String,
}

impl Uploads {
    /// Uploads for a workflow.
    pub(super) fn new(store: BlobStore, workflow_id: &str) -> Self {
        Self {
            store,
            folder: format!("runs/{}/uploads", percent_encode(workflow_id)),
        }
    }

    /// Uploads bytes.
    pub(super) async fn bytes(&self, bytes: &[u8], media_type: &str) -> Result<BlobRef, Failure> {
        let path = self.path(Sha256::digest(bytes).as_ref())?;
        Ok(self.store.put(&path, bytes, media_type).await?)
    }

    /// Uploads a file of any size, read twice: its name has to be known before it is written.
    pub(super) async fn file(&self, path: &Path, media_type: &str) -> Result<BlobRef, Failure> {
        let failed = |error| Failure::file("read", path, &error);
        let mut piece = vec![0; PIECE_BYTES];
        let mut hash = Sha256::new();
        let mut file = File::open(path).await.map_err(failed)?;
        loop {
            let count = file.read(&mut piece).await.map_err(failed)?;
            if count == 0 {
                break;
            }
            hash.update(piece.get(..count).unwrap_or_default());
        }
        let hash = hash.finalize();
        let mut writer = self.store.writer(&self.path(hash.as_ref())?, media_type).await?;
        let mut file = File::open(path).await.map_err(failed)?;
        loop {
            let count = file.read(&mut piece).await.map_err(failed)?;
            if count == 0 {
                break;
            }
            writer.write(piece.get(..count).unwrap_or_default()).await?;
        }
        let blob = writer.finish().await?;
        if blob.sha256.as_deref() == Some(hex(hash.as_ref()).as_str()) {
            return Ok(blob);
        }
        Err(Failure::bad_input(format!(
            "{} changed while it was uploaded; try again",
            path.display()
        )))
    }

    fn path(&self, hash: &[u8]) -> Result<StagedPath, Failure> {
        Ok(StagedPath::parse(&format!("{}/{}", self.folder, hex(hash)))?)
    }
}

/// Opens the workers' store: the one that flags or variables name, or that of a `pipelinectl dev` beside.
pub(crate) fn open_store(
    args: &BlobStoreArgs,
    client: &Client,
    session: &Session,
) -> Result<BlobStore, Failure> {
    let found = args
        .blob_store
        .clone()
        .or_else(|| local_dev(client).map(|state| state.blob_store));
    let Some(url) = found else {
        return Err(Failure::bad_input(
            "this needs the blob store of the workers: name it with --blob-store or PIPELINECTL__BLOB_STORE__URL",
        ));
    };
    let mut options = Options {
        url,
        options: provider_options(&args.blob_store_option)?,
        ..Options::default()
    };
    options.fill_from(session.env.clone());
    Ok(BlobStore::open(&options)?)
}

/// Notes what is wrong with the flags that name a store, as far as it shows without asking the store.
pub(super) fn check_store(args: &BlobStoreArgs, problems: &mut Problems) {
    let options = provider_options(&args.blob_store_option).unwrap_or_else(|failure| {
        problems.at("--blob-store-option", failure.message);
        BTreeMap::new()
    });
    let Some(address) = &args.blob_store else { return };
    let options = Options {
        url: address.clone(),
        options,
        ..Options::default()
    };
    for problem in options.validate() {
        match problem.path.strip_prefix("options.") {
            Some(key) => problems.at("--blob-store-option", format!("`{key}` {}", problem.message)),
            None => problems.at("--blob-store", problem.message),
        }
    }
}

fn provider_options(pairs: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    pairs
        .iter()
        .map(|pair| {
            // Only the key is quoted: the value may be a secret.
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| Failure::bad_input("--blob-store-option takes KEY=VALUE"))?;
            Ok((key.to_owned(), value.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    fn uploads(folder: &Path) -> Uploads {
        let url = Url::from_directory_path(folder).unwrap().to_string();
        let store = BlobStore::open(&Options {
            url,
            ..Options::default()
        })
        .unwrap();
        Uploads::new(store, "llm/a b")
    }

    #[tokio::test]
    async fn a_file_and_the_same_bytes_are_the_same_object() {
        let folder = tempfile::tempdir().unwrap();
        let uploads = uploads(&folder.path().join("blobs"));
        let file = folder.path().join("text");
        std::fs::write(&file, "some text").unwrap();
        let blob = uploads.file(&file, "text/plain").await.unwrap();
        assert_eq!(blob, uploads.bytes(b"some text", "text/plain").await.unwrap());
        let hash = blob.sha256.clone().unwrap();
        assert_eq!(blob.uri, format!("blob:runs/llm%2Fa%20b/uploads/{hash}"));
        assert_eq!(uploads.store.get(&blob, 100).await.unwrap(), "some text");
    }

    #[test]
    fn a_provider_option_without_a_value_does_not_show_what_was_given() {
        let failure = provider_options(&["secret".into()]).unwrap_err();
        assert!(!failure.message.contains("secret"), "{}", failure.message);
    }
}
