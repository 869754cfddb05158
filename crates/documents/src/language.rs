//! Names the language of a text, or says nothing.
//!
//! A wrong language is worse than none: it picks a wrong prompt or a wrong model and nobody looks again. So the
//! answer is `None` for texts too short to tell and wherever `whatlang`, a trigram model without data files,
//! calls its own answer unreliable. The larger detectors are more certain about short texts and weigh tens of
//! megabytes; a pipeline that reads documents rather than tweets does not need them.

use whatlang::{Info, detect as whatlang_detect};

/// The bytes at the start of a text that are looked at; more text does not make the answer better.
pub const SAMPLE_BYTES: usize = 16 * 1024;

/// The bytes of letters a text must have; scripts that say more with a letter also use more bytes for it.
pub const LEAST_LETTER_BYTES: usize = 24;

/// A detected language.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Language {
    /// The ISO 639-3 code, such as `eng`.
    pub code: &'static str,
    /// The BCP 47 primary subtag: the ISO 639-1 code such as `en`, or `code` where there is none.
    pub tag: &'static str,
    /// How sure the detector is, above 0.9 and up to 1.
    pub confidence: f64,
}

/// Detects the main language of a text; `None` where it is short or the answer unreliable.
///
/// Looks at the first [`SAMPLE_BYTES`]. Text in two languages is answered for by the more frequent one, or not at
/// all.
pub fn detect(text: &str) -> Option<Language> {
    let sample = &text[..text.floor_char_boundary(SAMPLE_BYTES)];
    let letters: usize = sample
        .chars()
        .filter(|c| c.is_alphabetic())
        .map(char::len_utf8)
        .sum();
    if letters < LEAST_LETTER_BYTES {
        return None;
    }
    let info = whatlang_detect(sample).filter(Info::is_reliable)?;
    let code = info.lang().code();
    Some(Language {
        code,
        tag: short_code(code).unwrap_or(code),
        confidence: info.confidence(),
    })
}

fn short_code(code: &str) -> Option<&'static str> {
    let index = SHORT_CODES.binary_search_by_key(&code, |(long, _)| long).ok()?;
    SHORT_CODES.get(index).map(|(_, short)| *short)
}

/// ISO 639-3 to ISO 639-1, sorted, for the languages that the detector knows.
#[rustfmt::skip]
const SHORT_CODES: [(&str, &str); 70] = [
    ("afr", "af"), ("aka", "ak"), ("amh", "am"), ("ara", "ar"), ("aze", "az"), ("bel", "be"),
    ("ben", "bn"), ("bul", "bg"), ("cat", "ca"), ("ces", "cs"), ("cmn", "zh"), ("cym", "cy"),
    ("dan", "da"), ("deu", "de"), ("ell", "el"), ("eng", "en"), ("epo", "eo"), ("est", "et"),
    ("fin", "fi"), ("fra", "fr"), ("guj", "gu"), ("heb", "he"), ("hin", "hi"), ("hrv", "hr"),
    ("hun", "hu"), ("hye", "hy"), ("ind", "id"), ("ita", "it"), ("jav", "jv"), ("jpn", "ja"),
    ("kan", "kn"), ("kat", "ka"), ("khm", "km"), ("kor", "ko"), ("lat", "la"), ("lav", "lv"),
    ("lit", "lt"), ("mal", "ml"), ("mar", "mr"), ("mkd", "mk"), ("mya", "my"), ("nep", "ne"),
    ("nld", "nl"), ("nob", "nb"), ("ori", "or"), ("pan", "pa"), ("pes", "fa"), ("pol", "pl"),
    ("por", "pt"), ("ron", "ro"), ("rus", "ru"), ("sin", "si"), ("slk", "sk"), ("slv", "sl"),
    ("sna", "sn"), ("spa", "es"), ("srp", "sr"), ("swe", "sv"), ("tam", "ta"), ("tel", "te"),
    ("tgl", "tl"), ("tha", "th"), ("tuk", "tk"), ("tur", "tr"), ("ukr", "uk"), ("urd", "ur"),
    ("uzb", "uz"), ("vie", "vi"), ("yid", "yi"), ("zul", "zu"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_of_several_scripts_are_named() {
        for (tag, text) in [
            (
                "en",
                "The service records every step of a workflow in an event history, so that a finished step is \
                    never executed again after a crash.",
            ),
            (
                "pl",
                "Usługa zapisuje każdy krok przepływu pracy w historii zdarzeń, dzięki czemu zakończony krok \
                    nigdy nie jest wykonywany ponownie.",
            ),
            (
                "de",
                "Der Dienst zeichnet jeden Schritt eines Ablaufs auf, sodass ein abgeschlossener Schritt nach \
                    einem Absturz nicht noch einmal ausgeführt wird.",
            ),
            (
                "ja",
                "サービスはワークフローのすべてのステップをイベント履歴に記録します。",
            ),
            (
                "uk",
                "Служба записує кожен крок робочого процесу в історію подій, тому завершений крок ніколи не \
                    виконується повторно.",
            ),
        ] {
            let got = detect(text).unwrap();
            assert_eq!(got.tag, tag);
            assert!(got.confidence > 0.9);
        }
    }

    #[test]
    fn short_or_wordless_text_has_no_language() {
        for text in ["", "Hello!", "12345 67890 12345 67890 12345 67890", "OK OK OK"] {
            assert_eq!(detect(text), None, "{text}");
        }
    }

    #[test]
    fn every_language_of_the_detector_has_a_short_code() {
        assert!(SHORT_CODES.is_sorted());
        for lang in whatlang::Lang::all() {
            assert!(
                short_code(lang.code()).is_some_and(|short| short.len() == 2),
                "{}",
                lang.code()
            );
        }
    }

    #[test]
    fn a_sample_never_cuts_a_character() {
        let text = "ż".repeat(SAMPLE_BYTES);
        assert!(detect(&format!("a{text}")).is_none_or(|language| language.confidence <= 1.0));
    }
}
