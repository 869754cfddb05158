//! `setup`: what a namespace needs before the first run.

use temporal_client::setup::Registered;

use crate::{exit::Exit, failure::Failure, session::Session};

/// Registers the search attributes; safe to repeat.
pub(crate) async fn run(session: &Session) -> Result<Exit, Failure> {
    let client = session.connect().await?;
    let registered = client.register_search_attributes().await?;
    session
        .printer
        .either(&registered, |registered| text(registered, client.namespace()))?;
    Ok(Exit::Success)
}

fn text(registered: &Registered, namespace: &str) -> String {
    if registered.added.is_empty() {
        return format!(
            "namespace {namespace} was ready: it has {}",
            registered.present.join(", ")
        );
    }
    format!(
        "namespace {namespace} is ready: added {}",
        registered.added.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_time_says_that_nothing_was_to_do() {
        let first = Registered {
            added: vec!["AiModel".into()],
            present: vec![],
        };
        assert_eq!(
            text(&first, "default"),
            "namespace default is ready: added AiModel"
        );
        let second = Registered {
            added: vec![],
            present: vec!["AiModel".into()],
        };
        assert_eq!(
            text(&second, "default"),
            "namespace default was ready: it has AiModel"
        );
    }
}
