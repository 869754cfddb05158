//! What holds for every store.

use std::time::Duration;

use blob_store::{BlobStore, Error, StagePrefix};
use workflow_types::{proto::BlobRef, run_scope::RunScope};

/// Larger than one part, so that it goes out as a multipart upload.
const LARGE_BYTES: usize = 9 * 1024 * 1024 + 7;

pub(crate) fn run(name: &str) -> StagePrefix {
    let scope = RunScope::new("default", "batch/ü 1", name);
    StagePrefix::parse(&scope.stage_prefix()).unwrap()
}

pub(crate) async fn put(store: &BlobStore, prefix: &StagePrefix, name: &str, text: &str) -> BlobRef {
    store
        .put(&prefix.path(name).unwrap(), text.as_bytes(), "text/plain")
        .await
        .unwrap()
}

pub(crate) async fn everything_holds(store: &BlobStore) {
    store.check().await.unwrap();
    what_is_put_is_got(store).await;
    a_reference_that_lies_is_found_out(store).await;
    limits_hold_before_anything_is_read(store).await;
    parts_are_exact(store).await;
    large_objects_stream_both_ways(store).await;
    an_abandoned_writer_leaves_no_object(store).await;
    deletion_stays_below_its_prefix(store).await;
    what_is_shared_has_the_name_of_its_bytes_and_goes_by_age(store).await;
}

async fn what_is_shared_has_the_name_of_its_bytes_and_goes_by_age(store: &BlobStore) {
    let run = run("shared");
    let shared = store.put_shared(b"abc", "text/plain").await.unwrap();
    let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(shared.uri, format!("blob:shared/ba/{hash}"));
    assert_eq!(store.put_shared(b"abc", "text/plain").await.unwrap(), shared);
    put(store, &run, "staged/a.txt", "staged").await;
    store.delete_prefix(&run).await.unwrap();
    assert_eq!(store.get(&shared, 3).await.unwrap(), "abc");
    assert_eq!(store.delete_shared(Duration::from_hours(1)).await.unwrap(), 0);
    assert_eq!(store.delete_shared(Duration::ZERO).await.unwrap(), 1);
    assert!(matches!(store.get(&shared, 3).await, Err(Error::NotFound { .. })));
}

async fn what_is_put_is_got(store: &BlobStore) {
    let path = run("put").path("staged/a.txt").unwrap();
    let first = store
        .put(&path, b"abc", "text/plain; charset=utf-8")
        .await
        .unwrap();
    assert_eq!(first.uri, path.uri());
    assert_eq!(first.size_bytes, Some(3));
    assert_eq!(first.media_type.as_deref(), Some("text/plain; charset=utf-8"));
    assert_eq!(
        first.sha256.as_deref(),
        Some("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    );
    assert_eq!(store.get(&first, 3).await.unwrap(), "abc");
    assert_eq!(
        store
            .put(&path, b"abc", "text/plain; charset=utf-8")
            .await
            .unwrap(),
        first
    );

    let replaced = store.put(&path, b"other", "text/plain").await.unwrap();
    assert_eq!(store.get(&replaced, 5).await.unwrap(), "other");
    assert!(matches!(store.get(&first, 5).await, Err(Error::Corrupt { .. })));

    let empty = store
        .put(&run("put").path("empty").unwrap(), b"", "text/plain")
        .await
        .unwrap();
    assert_eq!(store.get(&empty, 0).await.unwrap(), "");
}

async fn a_reference_that_lies_is_found_out(store: &BlobStore) {
    let blob = put(store, &run("lies"), "a.txt", "some text").await;
    let lies = [
        BlobRef {
            sha256: Some("0".repeat(64)),
            ..blob.clone()
        },
        BlobRef {
            size_bytes: Some(8),
            ..blob.clone()
        },
    ];
    for lie in lies {
        let error = store.get(&lie, 100).await.unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
        assert!(error.to_string().contains(&blob.uri), "{error}");
    }
    let mut reader = store.read(&blob).await.unwrap();
    assert_eq!(reader.sha256(), None);
    while reader.next().await.unwrap().is_some() {}
    assert_eq!(reader.sha256(), blob.sha256.as_deref());
    let vague = BlobRef {
        uri: blob.uri.clone(),
        ..BlobRef::default()
    };
    assert_eq!(store.get(&vague, 100).await.unwrap(), "some text");
    let absent = BlobRef {
        uri: format!("{}-not", blob.uri),
        ..BlobRef::default()
    };
    assert!(matches!(
        store.get(&absent, 100).await,
        Err(Error::NotFound { .. })
    ));
    assert!(matches!(
        store.read_from(&absent, 4).await,
        Err(Error::NotFound { .. })
    ));
}

async fn limits_hold_before_anything_is_read(store: &BlobStore) {
    let blob = put(store, &run("limits"), "a.txt", "some text").await;
    let error = store.get(&blob, 8).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::TooLarge {
                size_bytes: 9,
                limit_bytes: 8,
                ..
            }
        ),
        "{error:?}"
    );
}

async fn parts_are_exact(store: &BlobStore) {
    let blob = put(store, &run("parts"), "a.txt", "0123456789").await;
    for (offset, length, expected) in [(0, 10, "0123456789"), (3, 4, "3456"), (9, 1, "9"), (10, 0, "")] {
        assert_eq!(store.get_range(&blob, offset, length).await.unwrap(), expected);
    }
    for (offset, length) in [(0, 11), (9, 2), (10, 1), (u64::MAX, 1)] {
        let error = store.get_range(&blob, offset, length).await.unwrap_err();
        assert!(matches!(error, Error::Range { size_bytes: 10, .. }), "{error:?}");
    }
    for (offset, expected) in [(0, "0123456789"), (7, "789"), (10, ""), (99, "")] {
        assert_eq!(rest(store, &blob, offset).await, expected.as_bytes());
    }
    let lie = BlobRef {
        size_bytes: Some(11),
        ..blob
    };
    assert!(matches!(
        store.get_range(&lie, 0, 1).await,
        Err(Error::Corrupt { .. })
    ));
}

async fn rest(store: &BlobStore, blob: &BlobRef, offset: u64) -> Vec<u8> {
    let mut reader = store.read_from(blob, offset).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = reader.next().await.unwrap() {
        bytes.extend_from_slice(&piece);
    }
    bytes
}

async fn large_objects_stream_both_ways(store: &BlobStore) {
    let prefix = run("large");
    let expected: Vec<u8> = (0_u8..=250).cycle().take(LARGE_BYTES).collect();
    let mut writer = store
        .writer(&prefix.path("large.bin").unwrap(), "application/octet-stream")
        .await
        .unwrap();
    for piece in expected.chunks(1_000_003) {
        writer.write(piece).await.unwrap();
    }
    let blob = writer.finish().await.unwrap();
    assert_eq!(blob.size_bytes, i64::try_from(LARGE_BYTES).ok());
    assert!(rest(store, &blob, 0).await == expected);
    assert!(rest(store, &blob, 8_000_000).await == expected[8_000_000..]);

    let copy = store
        .copy(&blob, &prefix.path("copy.bin").unwrap())
        .await
        .unwrap();
    assert_eq!((&copy.sha256, copy.size_bytes), (&blob.sha256, blob.size_bytes));
    let lie = BlobRef {
        sha256: Some("0".repeat(64)),
        ..blob
    };
    let target = prefix.path("bad-copy.bin").unwrap();
    assert!(matches!(
        store.copy(&lie, &target).await,
        Err(Error::Corrupt { .. })
    ));
    let absent = BlobRef {
        uri: target.uri(),
        ..BlobRef::default()
    };
    assert!(matches!(store.read(&absent).await, Err(Error::NotFound { .. })));
}

async fn an_abandoned_writer_leaves_no_object(store: &BlobStore) {
    let path = run("abandoned").path("a.bin").unwrap();
    let mut writer = store.writer(&path, "application/octet-stream").await.unwrap();
    writer.write(&vec![1; LARGE_BYTES]).await.unwrap();
    drop(writer);
    let absent = BlobRef {
        uri: path.uri(),
        ..BlobRef::default()
    };
    assert!(matches!(store.read(&absent).await, Err(Error::NotFound { .. })));
}

async fn deletion_stays_below_its_prefix(store: &BlobStore) {
    let (mine, other) = (run("delete"), run("delete-not"));
    let kept = [
        put(store, &mine, "results/r.jsonl", "r").await,
        put(store, &other, "staged/x.txt", "x").await,
    ];
    for name in [
        "staged/b.txt",
        "staged/chunks/00000.txt",
        "staged/chunks/00001.txt",
    ] {
        put(store, &mine, name, name).await;
    }
    let staged = mine.folder("staged").unwrap();
    let uris: Vec<_> = store
        .list(&staged)
        .await
        .unwrap()
        .into_iter()
        .map(|object| object.uri)
        .collect();
    let expected =
        ["b.txt", "chunks/00000.txt", "chunks/00001.txt"].map(|name| format!("blob:{staged}{name}"));
    assert_eq!(uris, expected);

    assert_eq!(store.delete_prefix(&staged).await.unwrap(), 3);
    assert_eq!(store.delete_prefix(&staged).await.unwrap(), 0);
    assert_eq!(store.list(&staged).await.unwrap(), []);
    for blob in kept {
        assert_eq!(store.get(&blob, 10).await.unwrap().len(), 1);
    }
    assert_eq!(store.delete_prefix(&mine).await.unwrap(), 1);
}
