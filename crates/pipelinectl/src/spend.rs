//! `spend`: the ledger, read where the workers write it.
//!
//! It reads the effect journal itself and not Temporal, because money is counted by call and not by run: a call whose
//! outcome could not be learned stands in no output, and is listed here at the most that it can have cost.

mod report;
mod settle;
mod store;
mod tables;

use std::str::FromStr as _;

use effect_journal::{AttemptFilter, EffectKey, NoteAction, NoteFilter, Scope, State};
use serde::Serialize;
use serde_json::Value;

use crate::{
    cli::{ActionArg, AttemptsArgs, CallArgs, NotesArgs, SpendCommand, StateArg},
    exit::Exit,
    failure::Failure,
    moment,
    session::Session,
};

pub(crate) use store::open;

const DEFAULT_NAMESPACE: &str = "default";

/// Runs a command of `spend`.
pub(crate) async fn run(command: &SpendCommand, session: &Session) -> Result<Exit, Failure> {
    match command {
        SpendCommand::Report(args) => report::run(args, session).await,
        SpendCommand::Attempts(args) => attempts(args, session).await,
        SpendCommand::Settle(args) => settle::run(args, session).await,
        SpendCommand::Notes(args) => notes(args, session).await,
    }
}

async fn attempts(args: &AttemptsArgs, session: &Session) -> Result<Exit, Failure> {
    let scope = match (&args.workflow, session.named_namespace()) {
        (Some(id), namespace) => Scope::workflow(namespace.unwrap_or(DEFAULT_NAMESPACE), id),
        (None, Some(namespace)) => Scope::namespace(namespace),
        (None, None) => Scope::all(),
    };
    let span = Span::of(&args.calls)?;
    let mut filter = AttemptFilter {
        scope,
        state: args.state.map(state),
        tenant: args.calls.tenant.clone(),
        model: args.calls.model.clone(),
        provider: args.calls.provider.clone(),
        since_unix_ms: span.since,
        until_unix_ms: span.until,
        ..AttemptFilter::default()
    };
    let journal = open(&args.journal, session).await?;
    let most = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    while found.len() < most {
        let missing = u32::try_from(most - found.len()).unwrap_or(u32::MAX);
        filter.limit = missing.min(AttemptFilter::MAX_LIMIT);
        let page = journal.attempts(filter.clone()).await?;
        let Some(last) = page.last() else { break };
        filter.after = Some((last.key.clone(), last.fence));
        found.extend(page);
    }
    session
        .printer
        .either(&camel(&found)?, |_| tables::attempts(&found))?;
    if !found.is_empty() && found.len() == most {
        session
            .printer
            .remark(&format!("the first {most}; --limit shows more"));
    }
    Ok(Exit::Success)
}

async fn notes(args: &NotesArgs, session: &Session) -> Result<Exit, Failure> {
    let filter = NoteFilter {
        action: args.action.map(|action| match action {
            ActionArg::SettleByHand => NoteAction::SettleByHand,
            ActionArg::LateAnswer => NoteAction::LateAnswer,
            ActionArg::SetTenantBudget => NoteAction::SetTenantBudget,
        }),
        key: args.key.as_deref().map(key).transpose()?,
        actor: args.actor.clone(),
        before_id: args.before,
        limit: args.limit.min(NoteFilter::MAX_LIMIT),
    };
    let most = filter.limit;
    let journal = open(&args.journal, session).await?;
    let found = journal.notes(filter).await?;
    let mut document = camel(&found)?;
    for note in document.as_array_mut().into_iter().flatten() {
        for name in ["before", "after"] {
            unfold(&mut note[name]);
        }
    }
    session.printer.either(&document, |_| tables::notes(&found))?;
    if let Some(last) = found.last().filter(|_| found.len() == most as usize) {
        session.printer.remark(&format!(
            "the latest {most}; --before {} shows earlier ones",
            last.id
        ));
    }
    Ok(Exit::Success)
}

/// The time that calls are looked for in, in milliseconds since 1970.
struct Span {
    since: Option<i64>,
    until: Option<i64>,
}

impl Span {
    fn of(args: &CallArgs) -> Result<Self, Failure> {
        let now = moment::now_unix_ms();
        let span = Self {
            since: args.since.map(|moment| moment.unix_ms(now)),
            until: args.until.map(|moment| moment.unix_ms(now)),
        };
        if let (Some(since), Some(until)) = (span.since, span.until)
            && since >= until
        {
            return Err(Failure::bad_input("--since is not before --until: exchange them"));
        }
        Ok(span)
    }
}

/// Parses an effect's key.
fn key(text: &str) -> Result<EffectKey, Failure> {
    EffectKey::from_str(text)
        .map_err(|error| Failure::bad_input(format!("{error}; `pipelinectl spend attempts` shows the keys")))
}

fn state(arg: StateArg) -> State {
    match arg {
        StateArg::Reserved => State::Reserved,
        StateArg::Sent => State::Sent,
        StateArg::Settled => State::Settled,
        StateArg::Released => State::Released,
        StateArg::Unknown => State::Unknown,
    }
}

/// Writes what the journal gives as JSON with names as all our documents spell them.
pub(crate) fn camel(value: &impl Serialize) -> Result<Value, Failure> {
    let mut document = serde_json::to_value(value)
        .map_err(|error| Failure::internal(format!("the ledger cannot be written as JSON: {error}")))?;
    rename(&mut document);
    Ok(document)
}

fn rename(document: &mut Value) {
    match document {
        Value::Object(fields) => {
            let old = std::mem::take(fields);
            for (name, mut value) in old {
                rename(&mut value);
                fields.insert(camel_case(&name), value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(rename),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

/// Takes JSON out of the text that holds it.
fn unfold(value: &mut Value) {
    let inner = value.as_str().and_then(|text| serde_json::from_str(text).ok());
    if let Some(mut inner) = inner {
        rename(&mut inner);
        *value = inner;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::DurationArg;
    use crate::moment::MomentArg;

    #[test]
    fn names_are_those_of_every_document() {
        let mut document = serde_json::json!([{"input_tokens": 1, "a": {"price_table": "x_y"}}]);
        rename(&mut document);
        assert_eq!(
            document,
            serde_json::json!([{"inputTokens": 1, "a": {"priceTable": "x_y"}}])
        );
        let mut folded = serde_json::json!("{\"cost_micros\":1}");
        unfold(&mut folded);
        assert_eq!(folded, serde_json::json!({"costMicros": 1}));
        let mut plain = serde_json::json!("words");
        unfold(&mut plain);
        assert_eq!(plain, "words");
    }

    #[test]
    fn a_span_that_ends_before_it_begins_is_refused() {
        let ago = |text: &str| Some(MomentArg::Ago(text.parse::<DurationArg>().unwrap()));
        let args = |since, until| CallArgs {
            since,
            until,
            ..CallArgs::default()
        };
        assert!(Span::of(&args(ago("2h"), ago("1h"))).is_ok());
        assert!(Span::of(&args(ago("1h"), ago("2h"))).is_err());
    }

    #[test]
    fn a_key_that_is_none_says_where_keys_are() {
        let failure = key("default/x").unwrap_err();
        assert!(failure.message.contains("spend attempts"), "{}", failure.message);
        assert!(key("default/x/run-1/call/0").is_ok());
    }
}
