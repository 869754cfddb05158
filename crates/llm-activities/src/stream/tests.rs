//! What the writer beside a call does when things go wrong.

use std::{fs, path::PathBuf};

use prometheus::Registry;

use super::*;

struct Bench {
    folder: tempfile::TempDir,
    target: Target,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let blobs = BlobStore::open(&blob_store::Options {
            url: format!("file://{}", folder.path().display()),
            ..blob_store::Options::default()
        })
        .unwrap();
        let stage = StagePrefix::parse("runs/wf/run-1/").unwrap();
        let metrics = Metrics::register(&Registry::new()).unwrap();
        let wanted = StreamTarget {
            prefix: "stream".into(),
            flush_milliseconds: 100,
        };
        let target = Target::of(Some(&wanted), (&stage, &blobs, &metrics))
            .unwrap()
            .unwrap();
        Self { folder, target }
    }

    fn place(&self) -> PathBuf {
        self.folder.path().join("runs/wf/run-1/stream")
    }

    fn names(&self) -> Vec<String> {
        let folders = fs::read_dir(self.place())
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let mut names: Vec<_> = folders
            .flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()))
            .map(|path| path.strip_prefix(self.place()).unwrap().display().to_string())
            .collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn a_segment_that_could_not_be_written_is_written_again_as_it_was_cut() {
    let bench = Bench::new();
    let mut epoch = Epoch::new(bench.target.blobs.clone(), bench.target.stream.clone());
    epoch.text.push_str("one");
    fs::create_dir_all(bench.place().parent().unwrap()).unwrap();
    fs::write(bench.place(), "").unwrap();
    assert!(epoch.write().await.is_err());
    epoch.text.push_str(" two");
    fs::remove_file(bench.place()).unwrap();
    epoch.finish("one two").await.unwrap();
    assert_eq!(
        bench.names(),
        [
            "000001/000000000000.txt",
            "000001/000000000003.txt",
            "000001/end.json"
        ]
    );
}

#[tokio::test]
async fn an_answer_that_is_not_what_was_told_is_told_anew() {
    let bench = Bench::new();
    let (pieces, telling) = bench.target.clone().begin();
    pieces.send("A draft".into()).unwrap();
    while !bench.place().join("000001/000000000000.txt").exists() {
        tokio::task::yield_now().await;
    }
    drop(pieces);
    telling.finish("The answer").await;
    let last = bench.place().join("000002");
    assert_eq!(
        fs::read_to_string(last.join("000000000000.txt")).unwrap(),
        "The answer"
    );
    assert!(last.join("end.json").exists());
    assert!(!bench.place().join("000001/end.json").exists());
}

#[tokio::test]
async fn a_telling_that_is_given_up_stays_without_an_end() {
    let bench = Bench::new();
    let (pieces, telling) = bench.target.clone().begin();
    pieces.send("A part".into()).unwrap();
    while !bench.place().join("000001/000000000000.txt").exists() {
        tokio::task::yield_now().await;
    }
    drop((pieces, telling));
    let (_, next) = bench.target.clone().begin();
    next.finish("All").await;
    assert_eq!(
        bench.names(),
        [
            "000001/000000000000.txt",
            "000002/000000000000.txt",
            "000002/end.json"
        ]
    );
}

#[test]
fn what_the_input_says_of_time_is_bounded() {
    let bench = Bench::new();
    let stage = StagePrefix::parse("runs/wf/run-1/").unwrap();
    for (said, meant) in [(0, 250), (-1, 250), (1, 100), (300, 300), (60_000, 5_000)] {
        let wanted = StreamTarget {
            prefix: "stream".into(),
            flush_milliseconds: said,
        };
        let places = (&stage, &bench.target.blobs, &bench.target.metrics);
        let target = Target::of(Some(&wanted), places).unwrap().unwrap();
        assert_eq!(target.flush, Duration::from_millis(meant), "{said}");
    }
}
