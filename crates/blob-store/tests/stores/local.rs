//! A folder of this machine.

use std::{fs, os::unix, path::Path};

use blob_store::{BlobStore, Error, Options};
use tempfile::TempDir;
use workflow_types::proto::BlobRef;

use crate::suite;

fn options(folder: &Path) -> Options {
    Options {
        url: format!("file://{}", folder.display()),
        ..Options::default()
    }
}

fn open(folder: &TempDir) -> BlobStore {
    BlobStore::open(&options(&folder.path().join("not there yet/blobs"))).unwrap()
}

fn root(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("not there yet/blobs")
}

fn reference(uri: impl Into<String>) -> BlobRef {
    BlobRef {
        uri: uri.into(),
        ..BlobRef::default()
    }
}

#[tokio::test]
async fn everything_holds_for_a_folder() {
    let folder = TempDir::new().unwrap();
    suite::everything_holds(&open(&folder)).await;
}

#[tokio::test]
async fn an_object_is_a_file_of_the_same_name() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    suite::put(&store, &suite::run("names"), "staged/a.txt", "text").await;
    let file = root(&folder).join("runs/batch%2F%C3%BC%201/names/staged/a.txt");
    assert_eq!(fs::read_to_string(file).unwrap(), "text");

    fs::create_dir_all(root(&folder).join("inbox")).unwrap();
    fs::write(root(&folder).join("inbox/my notes ü.txt"), "by hand").unwrap();
    assert_eq!(
        store
            .get(&reference("blob:inbox/my notes ü.txt"), 100)
            .await
            .unwrap(),
        "by hand"
    );
    assert!(matches!(
        store.get(&reference("blob:inbox"), 100).await,
        Err(Error::NotFound { .. })
    ));
}

#[tokio::test]
async fn a_file_that_changed_on_disk_is_not_passed_off_as_the_old_one() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let blob = suite::put(&store, &suite::run("damage"), "a.txt", "text").await;
    fs::write(
        root(&folder).join(blob.uri.strip_prefix("blob:").unwrap()),
        "texT",
    )
    .unwrap();
    let error = store.get(&blob, 100).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
}

#[tokio::test]
async fn links_out_of_the_folder_are_neither_read_nor_written_nor_followed_by_deletion() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let prefix = suite::run("links");
    suite::put(&store, &prefix, "staged/a.txt", "inside").await;
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret.txt"), "secret").unwrap();
    let staged = root(&folder).join(prefix.as_str()).join("staged");
    unix::fs::symlink(&outside, staged.join("link")).unwrap();
    unix::fs::symlink(outside.join("secret.txt"), staged.join("file")).unwrap();

    for name in ["link/secret.txt", "file"] {
        let read = store
            .get(&reference(format!("blob:{prefix}staged/{name}")), 100)
            .await
            .unwrap_err();
        assert!(matches!(read, Error::Forbidden { .. }), "{read:?}");
        let path = prefix.path(&format!("staged/{name}")).unwrap();
        let written = store.put(&path, b"x", "text/plain").await.unwrap_err();
        assert!(matches!(written, Error::Forbidden { .. }), "{written:?}");
    }
    assert!(store.delete_prefix(&prefix).await.unwrap() > 0);
    assert!(!staged.exists());
    assert_eq!(fs::read_to_string(outside.join("secret.txt")).unwrap(), "secret");

    let whole = suite::run("linked");
    unix::fs::symlink(&outside, root(&folder).join("runs/batch%2F%C3%BC%201/linked")).unwrap();
    let refused = store
        .delete_prefix(&whole.folder("staged").unwrap())
        .await
        .unwrap_err();
    assert!(matches!(refused, Error::Forbidden { .. }), "{refused:?}");
}

#[tokio::test]
async fn what_a_killed_process_left_half_written_goes_with_the_run() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let prefix = suite::run("killed");
    suite::put(&store, &prefix, "staged/a.txt", "whole").await;
    let staged = root(&folder).join(prefix.as_str()).join("staged");
    fs::write(staged.join("b.txt#1"), "ha").unwrap();
    assert_eq!(
        store
            .delete_prefix(&prefix.folder("staged").unwrap())
            .await
            .unwrap(),
        1
    );
    assert!(!staged.exists());
}

#[tokio::test]
async fn files_of_the_machine_are_read_only_where_that_is_allowed() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("a b.txt");
    fs::write(&file, "0123456789").unwrap();
    let blob = reference(format!("file://{}/a%20b.txt", folder.path().display()));
    let refused = open(&folder).get(&blob, 100).await.unwrap_err();
    assert!(matches!(refused, Error::Forbidden { .. }), "{refused:?}");

    let allowed = Options {
        allow_file_references: true,
        ..options(&root(&folder))
    };
    let store = BlobStore::open(&allowed).unwrap();
    assert_eq!(store.get(&blob, 100).await.unwrap(), "0123456789");
    assert_eq!(store.get_range(&blob, 3, 4).await.unwrap(), "3456");
    assert!(matches!(
        store.get_range(&blob, 8, 4).await,
        Err(Error::Range { .. })
    ));
    let wrong = BlobRef {
        sha256: Some("0".repeat(64)),
        ..blob
    };
    assert!(matches!(store.get(&wrong, 100).await, Err(Error::Corrupt { .. })));
    for (path, missing) in [("/not/there", true), ("/dev/zero", false), ("/", false)] {
        let error = store
            .get(&reference(format!("file://{path}")), 100)
            .await
            .unwrap_err();
        assert_eq!(
            matches!(error, Error::NotFound { .. }),
            missing,
            "{path}: {error:?}"
        );
        assert_eq!(
            matches!(error, Error::Forbidden { .. }),
            !missing,
            "{path}: {error:?}"
        );
    }
}

#[tokio::test]
async fn the_stores_own_limit_holds_for_whole_objects_only() {
    let folder = TempDir::new().unwrap();
    let small = Options {
        max_object_bytes: 4,
        ..options(folder.path())
    };
    let store = BlobStore::open(&small).unwrap();
    let path = suite::run("limit").path("a.txt").unwrap();
    assert!(matches!(
        store.put(&path, b"12345", "text/plain").await,
        Err(Error::TooLarge { .. })
    ));
    let mut writer = store.writer(&path, "text/plain").await.unwrap();
    writer.write(b"12345").await.unwrap();
    let blob = writer.finish().await.unwrap();
    assert!(matches!(store.get(&blob, 100).await, Err(Error::TooLarge { .. })));
    assert_eq!(store.get_range(&blob, 1, 4).await.unwrap(), "2345");
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_or_written_is_reported() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let error = BlobStore::open(&options(&folder.path().join("file/blobs"))).unwrap_err();
    assert!(matches!(error, Error::Open { .. }), "{error:?}");
    let error = BlobStore::open(&Options::default()).unwrap_err();
    assert!(error.to_string().contains("url: is not set"), "{error}");

    let store = open(&folder);
    fs::remove_dir_all(root(&folder)).unwrap();
    fs::write(root(&folder), "a file where the folder was").unwrap();
    assert!(matches!(store.check().await, Err(Error::Storage { .. })));
}
