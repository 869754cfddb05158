//! Where a stream's pieces lie, out of a listing.

use std::collections::BTreeMap;

use blob_store::{StagePrefix, StoredObject};

use crate::failure::Failure;

const SEGMENT: &str = ".txt";
const END: &str = "end.json";

/// The pieces that a listing shows.
#[derive(Debug, Default)]
pub(super) struct Layout(BTreeMap<u32, Epoch>);

/// The pieces of one text.
#[derive(Debug, Default)]
pub(super) struct Epoch {
    /// Its number.
    pub(super) number: u32,
    /// Its segments by their place in the text, in bytes.
    pub(super) segments: BTreeMap<u64, String>,
    /// Its end marker.
    pub(super) end: Option<String>,
}

impl Layout {
    /// Sorts a listing; what is none of a stream's pieces is left out.
    pub(super) fn of(objects: Vec<StoredObject>) -> Self {
        let mut layout = Self::default();
        for object in objects {
            let mut parts = object.uri.rsplit('/');
            let (Some(name), Some(number)) = (parts.next(), parts.next()) else {
                continue;
            };
            let Ok(number) = number.parse() else { continue };
            let place = name.strip_suffix(SEGMENT).map(str::parse::<u64>);
            if name != END && !matches!(place, Some(Ok(_))) {
                continue;
            }
            let epoch = layout.0.entry(number).or_insert_with(|| Epoch {
                number,
                ..Epoch::default()
            });
            if let Some(Ok(place)) = place {
                epoch.segments.insert(place, object.uri.clone());
            } else {
                epoch.end = Some(object.uri.clone());
            }
        }
        layout
    }

    /// Gives the text that counts: the last one that was begun.
    pub(super) fn latest(&self) -> Option<&Epoch> {
        self.0.values().next_back()
    }
}

/// Parses a stream's place, `runs/<workflow id>/<first run id>/…`.
pub(super) fn prefix(stream: &str) -> Result<StagePrefix, Failure> {
    let stream = stream.trim_end_matches('/');
    let mut slashes = stream.match_indices('/').map(|(at, _)| at);
    let Some(end_of_run) = slashes.nth(2) else {
        return Err(Failure::internal(format!(
            "`{stream}` is no place of a stream; another version of the worker may have written it"
        )));
    };
    let (run, below) = stream.split_at(end_of_run + 1);
    Ok(StagePrefix::parse(run)?.folder(below)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_sorted_by_number_and_not_by_name() {
        let objects = [
            "blob:runs/a/b/results/stream/000002/000000000000.txt",
            "blob:runs/a/b/results/stream/000010/000000000009.txt",
            "blob:runs/a/b/results/stream/000010/000000000000.txt",
            "blob:runs/a/b/results/stream/000010/end.json",
            "blob:runs/a/b/results/stream/000010/x.partial",
            "blob:runs/a/b/results/stream/other/000000000000.txt",
        ];
        let layout = Layout::of(
            objects
                .map(|uri| StoredObject {
                    uri: uri.into(),
                    size_bytes: 1,
                })
                .to_vec(),
        );
        let latest = layout.latest().unwrap();
        assert_eq!(latest.number, 10);
        assert_eq!(latest.segments.keys().copied().collect::<Vec<_>>(), [0, 9]);
        assert!(latest.end.is_some());
        assert_eq!(layout.0.len(), 2);
    }

    #[test]
    fn a_place_is_below_a_run() {
        assert_eq!(
            prefix("runs/a/b/results/stream").unwrap().as_str(),
            "runs/a/b/results/stream/"
        );
        for wrong in ["", "runs/a/b", "runs/a", "x/a/b/c", "runs/a/../c"] {
            assert!(prefix(wrong).is_err(), "{wrong}");
        }
    }
}
