//! Events from well-formed, odd and broken streams, however they are cut.

use proptest::prelude::*;

use super::{Error, Event, Splitter};

const LIMIT: usize = 64 * 1024;

fn split(pieces: &[&[u8]]) -> Result<Vec<Event>, Error> {
    let mut splitter = Splitter::new(LIMIT);
    let mut events = Vec::new();
    for piece in pieces {
        splitter.push(piece, &mut events)?;
    }
    Ok(events)
}

fn data(stream: &str) -> Vec<String> {
    split(&[stream.as_bytes()])
        .unwrap()
        .into_iter()
        .map(|event| event.data)
        .collect()
}

#[test]
fn every_line_ending_ends_a_line() {
    for stream in [
        "data: a\n\ndata: b\n\n",
        "data: a\r\n\r\ndata: b\r\n\r\n",
        "data: a\r\rdata: b\r\r",
    ] {
        assert_eq!(data(stream), ["a", "b"], "{stream:?}");
    }
    for stream in [
        "data: a\ndata: b\n\n",
        "data: a\r\ndata: b\r\n\r\n",
        "data: a\rdata: b\r\r",
    ] {
        assert_eq!(data(stream), ["a\nb"], "{stream:?}");
    }
}

#[test]
fn comments_unknown_fields_and_a_byte_order_mark_are_skipped() {
    assert_eq!(
        data("\u{feff}: hello\n\nid: 1\nretry: 5\n:\ndata:x\nnonsense\n\n"),
        ["x"]
    );
}

#[test]
fn data_lines_are_joined_and_one_leading_space_is_dropped() {
    assert_eq!(data("data:  a\ndata:b\ndata\n\n"), [" a\nb\n"]);
}

#[test]
fn an_event_keeps_its_name_and_the_next_starts_without_one() {
    let events = split(&[b"event: error\ndata: a\n\ndata: b\n\n"]).unwrap();
    assert_eq!(events[0].name, "error");
    assert_eq!(events[1].name, "");
}

#[test]
fn an_event_that_is_cut_off_is_dropped() {
    assert_eq!(data("data: a\n\ndata: b\n"), ["a"]);
    assert_eq!(data("data: a\n\ndata: b"), ["a"]);
}

#[test]
fn a_name_without_data_is_no_event() {
    assert!(data("event: ping\n\n").is_empty());
}

#[test]
fn a_line_or_an_event_above_the_limit_is_refused() {
    let mut splitter = Splitter::new(8);
    let mut events = Vec::new();
    assert_eq!(splitter.push(b"data: 12", &mut events), Ok(()));
    assert_eq!(
        splitter.push(b"3", &mut events),
        Err(Error::TooLarge { limit: 8 })
    );

    let mut splitter = Splitter::new(12);
    assert_eq!(
        splitter.push(b"data: 12345\ndata:1234567\n", &mut events),
        Err(Error::TooLarge { limit: 12 })
    );
    assert!(events.is_empty());
}

#[test]
fn bytes_that_are_not_utf8_are_refused() {
    assert_eq!(split(&[b"data: \xff\xfe\n\n"]), Err(Error::NotUtf8));
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("data: ".to_owned()),
        Just("data".to_owned()),
        Just("event: x".to_owned()),
        Just(": c".to_owned()),
        Just("\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("\r".to_owned()),
        Just("\n\n".to_owned()),
        Just("\r\n\r\n".to_owned()),
        Just("\u{feff}".to_owned()),
        "[a-z\u{e9}\u{1f600} :{}\"]{0,12}",
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn any_cut_of_a_stream_gives_the_same_events(
        bytes in stream(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        places.extend([0, bytes.len()]);
        places.sort_unstable();
        let pieces: Vec<&[u8]> = places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        let whole = split(&[&bytes]);
        prop_assert_eq!(split(&pieces), whole.clone());
        prop_assert_eq!(split(&single), whole);
    }

    #[test]
    fn any_bytes_at_all_end_in_events_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let mut splitter = Splitter::new(64);
        let mut events = Vec::new();
        if splitter.push(&bytes, &mut events).is_ok() {
            prop_assert!(events.iter().all(|event| event.data.len() <= 64));
        }
    }
}
