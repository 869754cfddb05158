//! The tokenizer of the default local model, against ids that llama.cpp gives for the same texts.
//!
//! Needs the model file, which `make setup` fetches; `make test` says where it is in `TAW_TEST_MODELS`.

use std::path::PathBuf;
use std::sync::LazyLock;

use documents::chunk::{self, Limits};
use documents::gguf;
use documents::tokens::{TokenCounter, gguf_tokenizer};
use tokenizers::Tokenizer;

#[expect(
    clippy::disallowed_methods,
    reason = "a test has no configuration to be handed the path by"
)]
fn model() -> PathBuf {
    let folder = std::env::var("TAW_TEST_MODELS").unwrap_or_default();
    let path = PathBuf::from(folder).join("smollm2/SmolLM2-135M-Instruct.Q4_1.gguf");
    assert!(
        path.is_file(),
        "no model at {}: run `make setup` once, then `make test`",
        path.display()
    );
    path
}

#[expect(
    clippy::unwrap_used,
    reason = "a tokenizer that cannot be built fails every test here"
)]
static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| gguf_tokenizer(&model()).unwrap());

/// Texts and the ids that llama.cpp's `/tokenize` gives for them with `parse_special` on this model file.
#[rustfmt::skip]
const REFERENCE: &[(&str, &[u32])] = &[
    ("Hello, world!",
     &[19556, 28, 905, 17]),
    ("In 2026, 1234567 tokens cost $0.05.",
     &[788, 216, 34, 32, 34, 38, 28, 216, 33, 34, 35, 36, 37, 38, 39, 17837, 1708, 1885, 32, 30, 32, 37, 30]),
    ("  two  spaces\n\n\ttab and  trailing  ",
     &[216, 827, 216, 5600, 1116, 197, 15999, 284, 216, 35079, 256]),
    ("Zażółć gęślą jaźń — ça va? 日本語のテキスト 한국어",
     &[74, 81, 144, 137, 7342, 25954, 27804, 310, 48137, 27588, 92, 143, 223, 48868, 144, 135, 41146, 1841, 5549, 117, 81, 46316, 47, 17097, 241, 115, 40993, 179, 120, 248, 26453, 11100, 224, 10391, 251, 10391, 134, 11100, 226, 216, 33085, 246, 181, 130, 251, 183, 240, 129]),
    ("emoji 👩\u{200D}👩\u{200D}👧\u{200D}👦 👍🏽 and \u{FB01} ligature",
     &[391, 33777, 15107, 235, 119, 321, 231, 10813, 235, 119, 321, 231, 10813, 235, 117, 321, 231, 10813, 235, 116, 15107, 235, 231, 10813, 233, 138, 284, 40367, 13042, 906]),
    ("<|im_start|>user\nHi there<|im_end|>\n",
     &[1, 4093, 198, 26843, 665, 2, 198]),
    ("<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n<|im_start|>user\nSummarize in one sentence: The Temporal Service records every step of a workflow in an event history. When a worker dies, another worker replays that history and continues where the first one stopped, so completed steps are not executed again.<|im_end|>\n<|im_start|>assistant\n",
     &[1, 9690, 198, 2683, 359, 253, 5356, 5646, 11173, 3365, 3511, 308, 34519, 28, 7018, 411, 407, 19712, 8182, 2, 198, 1, 4093, 198, 13764, 3298, 836, 281, 582, 6330, 42, 378, 6957, 33140, 5538, 4585, 897, 1833, 282, 253, 18843, 281, 354, 2121, 1463, 30, 1550, 253, 9804, 10244, 28, 1372, 9804, 3842, 646, 338, 1463, 284, 4851, 837, 260, 808, 582, 8976, 28, 588, 5371, 3301, 359, 441, 11834, 1163, 30, 2, 198, 1, 520, 9531, 198]),
    ("don't we'll I'M THEY'RE fn main() { println!(\"{}\", 42u64); }",
     &[12420, 982, 392, 3060, 339, 23, 61, 6462, 73, 23, 3256, 24526, 1085, 1000, 1662, 1628, 34115, 17, 43331, 1002, 216, 36, 34, 101, 38, 36, 4258, 4029]),
    ("x²+y²=1½ ٣٤٥",
     &[104, 19133, 27, 105, 19133, 45, 33, 16738, 216, 164, 113, 164, 114, 164, 115]),
];

#[test]
fn the_model_file_says_what_it_is() {
    let metadata = gguf::read(&model()).unwrap();
    assert_eq!(
        (metadata.architecture.as_str(), metadata.context_length),
        ("llama", Some(8192))
    );
    assert!(metadata.chat_template.unwrap().contains("<|im_start|>"));
    let vocabulary = metadata.vocabulary.unwrap();
    assert_eq!(
        (vocabulary.model.as_str(), vocabulary.pre.as_deref()),
        ("gpt2", Some("smollm"))
    );
    assert_eq!(
        (vocabulary.tokens.len(), vocabulary.kinds.len()),
        (49_152, 49_152)
    );
    let eos = vocabulary.special.eos.unwrap();
    assert_eq!(vocabulary.tokens[eos as usize], "<|im_end|>");
}

#[test]
fn ids_equal_those_of_llama_cpp() {
    for (text, ids) in REFERENCE {
        assert_eq!(TOKENIZER.encode(*text, false).unwrap().get_ids(), *ids, "{text}");
    }
}

#[test]
fn special_tokens_are_one_id_and_digits_one_each() {
    let ids = |text: &str| TOKENIZER.encode(text, false).unwrap().get_ids().to_vec();
    assert_eq!(ids("<|im_start|>"), [1]);
    assert_eq!(ids("<|im_end|>"), [2]);
    assert_eq!(ids("31415").len(), 5);
    assert_eq!(
        TOKENIZER.decode(&ids("<|im_start|>hi<|im_end|>"), true).unwrap(),
        "hi"
    );
}

#[test]
fn decoding_an_encoding_gives_the_text_back() {
    for text in REFERENCE.iter().map(|(text, _)| *text).chain([
        "",
        " ",
        "\n\n",
        "مرحبا \u{10FFFD}\u{0301}",
        "\r\n\t\u{1}",
    ]) {
        let encoding = TOKENIZER.encode(text, false).unwrap();
        assert_eq!(TOKENIZER.decode(encoding.get_ids(), false).unwrap(), text);
    }
}

#[test]
fn characters_that_the_vocabulary_has_no_bytes_for_vanish_as_they_do_in_llama_cpp() {
    let encoding = TOKENIZER.encode("a\u{4}b\u{50000}c", false).unwrap();
    assert_eq!(
        TOKENIZER
            .decode(encoding.get_ids(), false)
            .unwrap()
            .chars()
            .filter(char::is_ascii_alphabetic)
            .count(),
        3
    );
    assert!(encoding.len() < 7);
}

/// A small vocabulary trained on English is the worst case that is met; the README says so.
#[test]
fn the_estimate_is_at_most_a_fifth_below_the_count_of_a_small_english_vocabulary() {
    let counter = TokenCounter::from_gguf(&model()).unwrap();
    for text in [
        "The service records every step of a workflow in an event history.",
        "Usługa zapisuje każdy krok przepływu pracy w historii zdarzeń.",
        "Der Dienst zeichnet jeden Schritt eines Ablaufs auf.",
        "サービスはワークフローのすべてのステップをイベント履歴に記録します。",
        "服务将工作流的每一步记录在事件历史中。",
        "Служба записывает каждый шаг рабочего процесса в историю событий.",
        "fn main() { let total: u64 = items.iter().map(|item| item.price).sum(); }",
    ] {
        let (exact, estimate) = (counter.count(text), TokenCounter::estimate().count(text));
        assert!(estimate * 5 >= exact * 4, "{exact} {estimate} {text}");
    }
}

#[test]
fn the_counter_counts_what_the_tokenizer_makes() {
    let counter = TokenCounter::from_gguf(&model()).unwrap();
    for (text, ids) in REFERENCE {
        assert_eq!(counter.count(text), ids.len());
        assert_eq!(counter.starts(text).len(), ids.len());
    }
}

#[test]
fn a_long_document_is_chunked_to_the_model_s_own_count() {
    let counter = TokenCounter::from_gguf(&model()).unwrap();
    let text = REFERENCE
        .iter()
        .map(|(text, _)| *text)
        .collect::<Vec<_>>()
        .join("\n\n")
        .repeat(60);
    let limits = Limits {
        max_tokens: 512,
        overlap_tokens: 32,
    };
    let chunks = chunk::split(&text, &counter, limits).unwrap();
    assert!(chunks.len() > counter.count(&text) / 512);
    for chunk in &chunks {
        assert_eq!(chunk.tokens, counter.count(&text[chunk.range.clone()]));
        assert!(chunk.tokens <= 512);
    }
}
