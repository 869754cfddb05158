//! The name of an effect, stable over retries and continue-as-new.
//!
//! A key is one text rather than four columns, because it travels: in an activity's input, as a provider's
//! idempotency key, in a log line. Slashes separate its parts, so a slash inside the first three parts is
//! percent-encoded; without that, workflow `a/b` of one namespace could answer for workflow `b` of another. The
//! last part, the logical step, is a path of its own (`item/42/candidate/1/call/0`) and stays readable.
//! Parsing accepts only the one spelling that the constructor writes: two spellings would be two effects.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Names one effect as `namespace/workflow id/first run id/logical step`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EffectKey(String);

/// Names a part of an [`EffectKey`] in an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The Temporal namespace.
    Namespace,
    /// The workflow id.
    WorkflowId,
    /// The id of the first run in the chain of continued and reset runs.
    FirstRunId,
    /// The logical step within the workflow.
    Step,
}

/// Says why four parts or a text are no effect key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// A part is the empty text.
    #[error("the effect key's {0} is empty")]
    Empty(Part),
    /// The step has an empty segment or a control character.
    #[error(
        "the effect key's step {0:?} is not a path of non-empty segments without control characters, such as item/42/call/0"
    )]
    Step(String),
    /// The text has fewer than four parts.
    #[error("{0:?} is no effect key: expected namespace/workflow id/first run id/step")]
    Shape(String),
    /// A part is percent-encoded differently from how the constructor writes it.
    #[error(
        "the effect key's {part} is spelled {found:?}: only %25, %2F and control characters are percent-encoded"
    )]
    Spelling {
        /// The part that is misspelled.
        part: Part,
        /// The part as it was given.
        found: String,
    },
    /// The whole key is longer than [`EffectKey::MAX_BYTES`].
    #[error("the effect key has {0} bytes, more than {max}", max = EffectKey::MAX_BYTES)]
    TooLong(usize),
}

impl EffectKey {
    /// The longest key in bytes, after percent-encoding.
    pub const MAX_BYTES: usize = 4096;

    /// Composes a key from its four parts, given as they are.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] if a part is empty, the step is no path, or the whole is too long.
    pub fn new(
        namespace: &str,
        workflow_id: &str,
        first_run_id: &str,
        step: &str,
    ) -> Result<Self, InvalidKey> {
        let leading = [
            (Part::Namespace, namespace),
            (Part::WorkflowId, workflow_id),
            (Part::FirstRunId, first_run_id),
        ];
        let mut text = String::new();
        for (part, given) in leading {
            if given.is_empty() {
                return Err(InvalidKey::Empty(part));
            }
            encode_into(&mut text, given);
            text.push('/');
        }
        check_step(step)?;
        text.push_str(step);
        if text.len() > Self::MAX_BYTES {
            return Err(InvalidKey::TooLong(text.len()));
        }
        Ok(Self(text))
    }

    /// Returns the key as the text that is stored and sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the Temporal namespace, as it was given.
    pub fn namespace(&self) -> String {
        self.leading(0)
    }

    /// Returns the workflow id, as it was given.
    pub fn workflow_id(&self) -> String {
        self.leading(1)
    }

    /// Returns the id of the first run, as it was given.
    pub fn first_run_id(&self) -> String {
        self.leading(2)
    }

    /// Returns the logical step.
    pub fn step(&self) -> &str {
        self.0.splitn(4, '/').last().unwrap_or_default()
    }

    fn leading(&self, number: usize) -> String {
        let part = self.0.split('/').nth(number).unwrap_or_default();
        // Every key was composed or parsed, and so is spelled the one way that can be decoded.
        decode(Part::Namespace, part).unwrap_or_else(|_| part.to_owned())
    }
}

impl fmt::Display for EffectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for EffectKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let mut parts = text.splitn(4, '/');
        let (Some(namespace), Some(workflow_id), Some(first_run_id), Some(step)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidKey::Shape(text.to_owned()));
        };
        Self::new(
            &decode(Part::Namespace, namespace)?,
            &decode(Part::WorkflowId, workflow_id)?,
            &decode(Part::FirstRunId, first_run_id)?,
            step,
        )
    }
}

impl Serialize for EffectKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Namespace => "namespace",
            Self::WorkflowId => "workflow id",
            Self::FirstRunId => "first run id",
            Self::Step => "step",
        })
    }
}

/// Appends a part with slash, percent sign and ASCII control characters percent-encoded.
pub(crate) fn encode_into(text: &mut String, part: &str) {
    const HEX: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    for character in part.chars() {
        match u8::try_from(character) {
            Ok(byte) if byte.is_ascii_control() || byte == b'/' || byte == b'%' => {
                text.push('%');
                text.push(HEX[usize::from(byte >> 4)]);
                text.push(HEX[usize::from(byte & 15)]);
            }
            Ok(_) | Err(_) => text.push(character),
        }
    }
}

fn decode(part: Part, found: &str) -> Result<String, InvalidKey> {
    let misspelled = || InvalidKey::Spelling {
        part,
        found: found.to_owned(),
    };
    let mut decoded = String::new();
    let mut rest = found;
    while let Some((before, after)) = rest.split_once('%') {
        decoded.push_str(before);
        let code = after.get(..2).ok_or_else(misspelled)?;
        let byte = u8::from_str_radix(code, 16).map_err(|_| misspelled())?;
        decoded.push(char::from(byte));
        rest = &after[2..];
    }
    decoded.push_str(rest);
    let mut canonical = String::new();
    encode_into(&mut canonical, &decoded);
    if canonical == found {
        Ok(decoded)
    } else {
        Err(misspelled())
    }
}

fn check_step(step: &str) -> Result<(), InvalidKey> {
    if step.is_empty() {
        return Err(InvalidKey::Empty(Part::Step));
    }
    if step.chars().any(char::is_control) || step.split('/').any(str::is_empty) {
        return Err(InvalidKey::Step(step.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_reads_as_its_four_parts() {
        let key = EffectKey::new("default", "wf-1", "run-1", "item/42/candidate/1/call/0").unwrap();
        assert_eq!(key.to_string(), "default/wf-1/run-1/item/42/candidate/1/call/0");
    }

    #[test]
    fn a_slash_in_a_part_cannot_shift_the_parts() {
        let slashed = EffectKey::new("default", "a/b", "run", "call/0").unwrap();
        assert_eq!(slashed.as_str(), "default/a%2Fb/run/call/0");
        assert_ne!(
            slashed,
            EffectKey::new("default/a", "b", "run", "call/0").unwrap()
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(
            EffectKey::new("", "w", "r", "s"),
            Err(InvalidKey::Empty(Part::Namespace))
        );
        assert_eq!(
            EffectKey::new("n", "", "r", "s"),
            Err(InvalidKey::Empty(Part::WorkflowId))
        );
        assert_eq!(
            EffectKey::new("n", "w", "", "s"),
            Err(InvalidKey::Empty(Part::FirstRunId))
        );
        assert_eq!(
            EffectKey::new("n", "w", "r", ""),
            Err(InvalidKey::Empty(Part::Step))
        );
        assert_eq!(
            "n/w/r".parse::<EffectKey>(),
            Err(InvalidKey::Shape("n/w/r".into()))
        );
    }

    #[test]
    fn a_step_is_a_path_of_segments() {
        for step in ["/a", "a/", "a//b", "a\nb", "a\0"] {
            assert_eq!(
                EffectKey::new("n", "w", "r", step),
                Err(InvalidKey::Step(step.into())),
                "{step:?}"
            );
        }
    }

    #[test]
    fn a_second_spelling_of_a_key_is_refused() {
        for text in [
            "n/a%2fb/r/s",
            "n/%61/r/s",
            "n/a%/r/s",
            "n/a%2/r/s",
            "n/a%é/r/s",
            "n/a%+F/r/s",
        ] {
            let found = text.split('/').nth(1).unwrap().to_owned();
            let expected = InvalidKey::Spelling {
                part: Part::WorkflowId,
                found,
            };
            assert_eq!(text.parse::<EffectKey>(), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_key_beyond_the_limit_is_refused() {
        let fits = "s".repeat(EffectKey::MAX_BYTES - "n/w/r/".len());
        assert!(EffectKey::new("n", "w", "r", &fits).is_ok());
        let long = EffectKey::new("n", "w", "r", &format!("{fits}s"));
        assert_eq!(long, Err(InvalidKey::TooLong(EffectKey::MAX_BYTES + 1)));
    }

    proptest! {
        #[test]
        fn any_parts_survive_the_text(parts in prop::array::uniform3(".{1,40}"), step in "[a-z%é ]{1,9}(/[0-9]{1,3}){0,3}") {
            let key = EffectKey::new(&parts[0], &parts[1], &parts[2], &step).unwrap();
            prop_assert_eq!([key.namespace(), key.workflow_id(), key.first_run_id()], parts);
            prop_assert_eq!(key.step(), step);
            prop_assert_eq!(key.to_string().parse::<EffectKey>(), Ok(key));
        }

        #[test]
        fn a_text_that_parses_is_already_canonical(text in "[a-z%2Ff/]{1,24}") {
            if let Ok(key) = text.parse::<EffectKey>() {
                prop_assert_eq!(key.as_str(), text);
            }
        }
    }
}
