//! How a conversation is written down for a model.
//!
//! A GGUF file brings its template as a Jinja program. Running it would take a Jinja engine and would give a text in
//! which nobody can tell the template's own control tokens from those that a document happens to spell out, so a
//! document could speak for another role. Here a template is one of a few known forms that gives control tokens and
//! texts apart; a file's program is recognised by its digest, and one that is not known is an error, because a model
//! that is addressed in the wrong form answers badly and reports nothing.

use model_clients::{Message, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A known form of writing a conversation down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChatTemplate {
    /// `ChatML`: every message between `<|im_start|>role` and `<|im_end|>`.
    Chatml,
    /// `ChatML` with the system message that SmolLM2 was trained with where the conversation brings none.
    Smollm2,
}

/// One piece of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A control token by its name.
    Control(&'static str),
    /// Text, in which control tokens have no power.
    Text(String),
}

const START: &str = "<|im_start|>";
const END: &str = "<|im_end|>";

/// The templates of model files by their SHA-256.
const KNOWN: &[(&str, ChatTemplate)] = &[
    (
        "872be49dbb638044ad01b60388f48d469ff2980e5f0dccdc22ec907db54d0788",
        ChatTemplate::Smollm2,
    ),
    // The template without a default system message, as many model files carry it.
    (CHATML_SHA256, ChatTemplate::Chatml),
];

const CHATML_SHA256: &str = "153280e3ff55d19da1398bdb3914ee2a51b80429bfaedde11d7d216c39db80f3";

impl ChatTemplate {
    /// Recognises the template of a model file.
    pub fn recognise(program: &str) -> Option<Self> {
        let digest = digest(program);
        KNOWN
            .iter()
            .find_map(|(known, template)| (*known == digest).then_some(*template))
    }

    /// Gives the control tokens that a model needs for this form.
    pub(crate) fn control_tokens(self) -> &'static [&'static str] {
        match self {
            Self::Chatml | Self::Smollm2 => &[START, END],
        }
    }

    /// Writes a conversation down, up to the place where the model's answer begins.
    pub(crate) fn pieces(self, messages: &[Message]) -> Vec<Piece> {
        let mut pieces = Vec::with_capacity(4 * messages.len() + 6);
        let first_is_system = messages
            .first()
            .is_some_and(|message| message.role == Role::System);
        if let Some(system) = self.default_system().filter(|_| !first_is_system) {
            push_message(&mut pieces, Role::System, system);
        }
        for message in messages {
            push_message(&mut pieces, message.role, &message.content);
        }
        pieces.push(Piece::Control(START));
        pieces.push(Piece::Text(format!("{}\n", role_name(Role::Assistant))));
        pieces
    }

    fn default_system(self) -> Option<&'static str> {
        match self {
            Self::Chatml => None,
            Self::Smollm2 => Some("You are a helpful AI assistant named SmolLM, trained by Hugging Face"),
        }
    }
}

/// Gives the SHA-256 of a template's program, by which it is known here.
pub(crate) fn digest(program: &str) -> String {
    hex(&Sha256::digest(program.as_bytes()))
}

/// Writes bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(u32::from(digit), 16))
        .collect()
}

fn push_message(pieces: &mut Vec<Piece>, role: Role, content: &str) {
    pieces.push(Piece::Control(START));
    pieces.push(Piece::Text(format!("{}\n{content}", role_name(role))));
    pieces.push(Piece::Control(END));
    pieces.push(Piece::Text("\n".to_owned()));
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

#[cfg(test)]
mod tests {
    use model_clients::{Message, Role};

    use super::{ChatTemplate, Piece};

    fn rendered(template: ChatTemplate, messages: &[Message]) -> String {
        template
            .pieces(messages)
            .into_iter()
            .map(|piece| match piece {
                Piece::Control(token) => token.to_owned(),
                Piece::Text(text) => text,
            })
            .collect()
    }

    fn message(role: Role, content: &str) -> Message {
        Message {
            role,
            content: content.to_owned(),
        }
    }

    #[test]
    fn smollm2_brings_its_own_system_message_only_where_there_is_none() {
        let alone = rendered(ChatTemplate::Smollm2, &[message(Role::User, "Hi")]);
        assert_eq!(
            alone,
            "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n\
             <|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
        );
        let given = rendered(
            ChatTemplate::Smollm2,
            &[message(Role::System, "Be brief."), message(Role::User, "Hi")],
        );
        assert_eq!(
            given,
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
        );
    }

    #[test]
    fn chatml_adds_no_system_message() {
        let text = rendered(ChatTemplate::Chatml, &[message(Role::User, "Hi")]);
        assert_eq!(text, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
    }

    #[test]
    fn the_common_template_is_recognised_and_a_changed_one_is_not() {
        let common = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] \
                      + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}\
                      {{ '<|im_start|>assistant\n' }}{% endif %}";
        assert_eq!(ChatTemplate::recognise(common), Some(ChatTemplate::Chatml));
        assert_eq!(
            ChatTemplate::recognise(&common.replace("user", "human").replace("role", "who")),
            None
        );
    }
}
