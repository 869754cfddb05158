//! What a reader is given, and when.

use blob_store::{Options, StagedPath};

use super::*;

const STREAM: &str = "runs/llm%2Fa/run-1/results/stream";

struct Place {
    _folder: tempfile::TempDir,
    store: BlobStore,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = url::Url::from_directory_path(folder.path()).unwrap().to_string();
        let options = Options {
            url,
            ..Options::default()
        };
        let store = BlobStore::open(&options).unwrap();
        Self {
            _folder: folder,
            store,
        }
    }

    fn follower(&self) -> Follower {
        Follower::new(self.store.clone(), STREAM).unwrap()
    }

    async fn write(&self, name: &str, bytes: &[u8]) {
        let path = StagedPath::parse(&format!("{STREAM}/{name}")).unwrap();
        self.store.put(&path, bytes, "text/plain").await.unwrap();
    }

    async fn segment(&self, epoch: u32, offset: u64, bytes: &[u8]) {
        self.write(&format!("{epoch:06}/{offset:012}.txt"), bytes).await;
    }

    async fn end(&self, epoch: u32, text: &str) {
        let sha256 = hex(Sha256::digest(text.as_bytes()).as_ref());
        let marker = serde_json::json!({"bytes": text.len(), "sha256": sha256});
        self.write(&format!("{epoch:06}/end.json"), marker.to_string().as_bytes())
            .await;
    }
}

/// Puts together what was given after the last reset.
fn kept(events: &[Event]) -> String {
    let mut kept = String::new();
    for event in events {
        match event {
            Event::Text { text } => kept.push_str(text),
            Event::Reset { .. } => kept.clear(),
            Event::End { .. } => {}
        }
    }
    kept
}

#[tokio::test]
async fn text_comes_as_it_is_written_and_ends_with_its_hash() {
    let place = Place::new();
    let mut follower = place.follower();
    assert_eq!(follower.look().await.unwrap(), []);
    assert!(!follower.has_begun());
    place.segment(1, 0, b"The bridge").await;
    assert_eq!(follower.look().await.unwrap(), [text("The bridge")]);
    assert_eq!(follower.look().await.unwrap(), []);
    place.segment(1, 10, b" was ").await;
    place.segment(1, 15, b"closed.").await;
    place.end(1, "The bridge was closed.").await;
    let events = follower.look().await.unwrap();
    assert_eq!(kept(&events), " was closed.");
    assert!(
        matches!(events.last(), Some(Event::End { bytes: 22, .. })),
        "{events:?}"
    );
    assert!(follower.is_whole());
    assert_eq!(follower.look().await.unwrap(), []);
    assert_eq!(follower.close("The bridge was closed."), []);
}

#[tokio::test]
async fn a_second_text_voids_the_first_and_what_is_kept_is_the_answer() {
    let place = Place::new();
    let mut follower = place.follower();
    place.segment(1, 0, b"half an ans").await;
    let mut events = follower.look().await.unwrap();
    place.segment(2, 0, b"The whole ").await;
    place.segment(2, 10, "one, gr\u{fc}n.".as_bytes()).await;
    place.end(2, "The whole one, gr\u{fc}n.").await;
    events.extend(follower.look().await.unwrap());
    assert!(events.contains(&Event::Reset { epoch: 2 }), "{events:?}");
    assert_eq!(kept(&events), "The whole one, gr\u{fc}n.");
}

#[tokio::test]
async fn whoever_comes_late_is_given_the_last_text_alone() {
    let place = Place::new();
    place.segment(1, 0, b"first").await;
    place.end(1, "first").await;
    place.segment(2, 0, b"second").await;
    let mut follower = place.follower();
    assert_eq!(follower.look().await.unwrap(), [text("second")]);
    assert!(!follower.is_whole());
}

#[tokio::test]
async fn nothing_is_given_before_what_comes_before_it() {
    let place = Place::new();
    let mut follower = place.follower();
    place.segment(1, 0, b"a").await;
    place.segment(1, 2, b"c").await;
    place.end(1, "abc").await;
    assert_eq!(follower.look().await.unwrap(), [text("a")]);
    place.segment(1, 1, b"b").await;
    let events = follower.look().await.unwrap();
    assert_eq!(kept(&events), "bc");
    assert!(follower.is_whole());
}

#[tokio::test]
async fn a_character_that_was_cut_in_two_is_given_whole() {
    let place = Place::new();
    let mut follower = place.follower();
    let bytes = "\u{fc}".as_bytes();
    place.segment(1, 0, &bytes[..1]).await;
    assert_eq!(follower.look().await.unwrap(), []);
    place.segment(1, 1, &bytes[1..]).await;
    assert_eq!(follower.look().await.unwrap(), [text("\u{fc}")]);
}

#[tokio::test]
async fn a_text_that_is_not_what_its_end_says_is_an_error() {
    let place = Place::new();
    place.segment(1, 0, b"abc").await;
    place.end(1, "abd").await;
    let mut follower = place.follower();
    assert_eq!(
        follower.look().await.unwrap(),
        [text("abc")],
        "what was read is given"
    );
    let failure = follower.look().await.unwrap_err();
    assert!(
        failure.message.contains("pipelinectl result"),
        "{}",
        failure.message
    );
}

#[tokio::test]
async fn a_piece_that_is_no_text_is_an_error_at_every_look() {
    let place = Place::new();
    place.segment(1, 0, &[b'a', 0xff]).await;
    let mut follower = place.follower();
    for _ in 0..2 {
        assert!(follower.look().await.is_err());
    }
}

#[tokio::test]
async fn the_answer_itself_has_the_last_word() {
    let place = Place::new();
    place.segment(1, 0, b"what the model wrote").await;
    let mut follower = place.follower();
    let mut events = follower.look().await.unwrap();
    events.extend(follower.close("what a reviewer wrote"));
    assert_eq!(kept(&events), "what a reviewer wrote");
    assert!(matches!(events.last(), Some(Event::End { .. })), "{events:?}");

    let mut follower = place.follower();
    follower.look().await.unwrap();
    let events = follower.close("what the model wrote");
    assert!(
        matches!(events.as_slice(), [Event::End { .. }]),
        "only the end was missing: {events:?}"
    );
    let mut nothing_seen = Place::new().follower();
    assert_eq!(kept(&nothing_seen.close("all of it")), "all of it");
}

#[test]
fn an_event_is_one_object() {
    let json = |event: &Event| serde_json::to_string(event).unwrap();
    assert_eq!(json(&text("a\nb")), r#"{"event":"text","text":"a\nb"}"#);
    assert_eq!(json(&Event::Reset { epoch: 2 }), r#"{"event":"reset","epoch":2}"#);
}
