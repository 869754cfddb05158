//! `spend settle`: what the provider's bill says of a call whose outcome could not be learned.

use effect_journal::{HandOutcome, HandSettlement, Spend};
use serde_json::json;

use crate::{cli::SettleArgs, exit::Exit, failure::Failure, money, session::Session};

use super::{key, open};

/// Ends a call by a person's word, which the journal keeps with the name and the reason.
pub(super) async fn run(args: &SettleArgs, session: &Session) -> Result<Exit, Failure> {
    let effect = key(&args.key)?;
    let actor = session.actor(args.actor.as_deref())?;
    if args.reason.trim().is_empty() {
        return Err(Failure::bad_input(
            "--reason is empty: say where the figures are from",
        ));
    }
    let outcome = outcome(args);
    let journal = open(&args.journal, session).await?;
    let settlement = HandSettlement {
        outcome,
        actor: actor.clone(),
        reason: args.reason.clone(),
    };
    let settled = journal.settle_by_hand(&effect, args.fence, settlement).await;
    settled.map_err(refused)?;
    let (word, spend) = match outcome {
        HandOutcome::Billed(spend) => ("billed", Some(spend)),
        HandOutcome::NotBilled => ("notBilled", None),
    };
    let answer = json!({
        "key": args.key,
        "fence": args.fence,
        "outcome": word,
        "costMicros": spend.map(|spend| spend.cost_micros),
        "actor": actor,
        "actorVerified": false,
    });
    session.printer.either(&answer, |_| {
        let as_what = spend.map_or_else(
            || "not billed".to_owned(),
            |spend| format!("billed at {}", money::micros(spend.cost_micros)),
        );
        format!(
            "settled attempt {} of {} as {as_what}, by {actor} (unverified); `pipelinectl spend notes` remembers it",
            args.fence, args.key
        )
    })?;
    Ok(Exit::Success)
}

/// Says which calls can be settled, to somebody who named another one.
fn refused(error: effect_journal::Error) -> Failure {
    if let effect_journal::Error::NoAttempt { key, fence } = &error {
        return Failure::not_found(format!(
            "there is no attempt {fence} of {key}; `pipelinectl spend attempts --state unknown` shows those that can be \
             settled"
        ));
    }
    if let effect_journal::Error::State {
        key, fence, state, ..
    } = &error
    {
        return Failure::refused(format!(
            "attempt {fence} of {key} is {state}: only those of unknown outcome are settled by hand, and \
             `pipelinectl spend attempts --state unknown` shows them"
        ));
    }
    error.into()
}

fn outcome(args: &SettleArgs) -> HandOutcome {
    if args.not_billed {
        return HandOutcome::NotBilled;
    }
    HandOutcome::Billed(Spend {
        input_tokens: args.input_tokens.unwrap_or_default(),
        output_tokens: args.output_tokens.unwrap_or_default(),
        cost_micros: args.cost.map_or(0, money::CostArg::micros),
        ..Spend::default()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use effect_journal::{
        Claim, ClaimRequest, EffectClass, EffectKey, Feedback, Journal, NoteFilter, OnUnknown, Options,
        RequestDigest, Scope,
    };

    use super::*;
    use crate::{
        cli::{GlobalArgs, JournalArgs},
        output::{Format, Printer},
    };

    const KEY: &str = "default/x/run-1/call/0";

    fn session() -> Session {
        let global = GlobalArgs {
            output: Format::Json,
            verbose: false,
            address: None,
            namespace: None,
            profile: None,
            profile_file: None,
        };
        let env = HashMap::from([("USER".to_owned(), "ana".to_owned())]);
        Session::new(global, env, Printer::new(Format::Json, false))
    }

    fn args(url: &str, fence: u32, billed: bool) -> SettleArgs {
        SettleArgs {
            key: KEY.into(),
            fence,
            billed,
            not_billed: !billed,
            input_tokens: billed.then_some(10),
            output_tokens: billed.then_some(5),
            cost: billed.then(|| "0.0125".parse().unwrap()),
            reason: "bill 42".into(),
            actor: None,
            journal: JournalArgs {
                journal: Some(url.into()),
                ..JournalArgs::default()
            },
        }
    }

    /// Leaves a call behind whose outcome could not be learned.
    async fn unknown(journal: &dyn Journal) {
        let request = ClaimRequest {
            key: KEY.parse::<EffectKey>().unwrap(),
            digest: RequestDigest::of(b"request"),
            owner: "worker".into(),
            class: EffectClass::Paid,
            on_unknown: OnUnknown::Repeat,
            model: "m".into(),
            provider: "p".into(),
            upper_bound: Spend {
                cost_micros: 90_000,
                ..Spend::default()
            },
            tenant: None,
            price_table: "2026-11".into(),
            accounts: Vec::new(),
            limits: None,
        };
        let Claim::Granted(lease) = journal.claim(request).await.unwrap() else {
            panic!("not granted")
        };
        let _cleared = journal.mark_sent(&lease).await.unwrap();
        journal
            .mark_unknown(&lease, "broke off", Feedback::default())
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_call_of_unknown_outcome_is_settled_once_and_noted() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("journal.db").display());
        let options = Options {
            url: url.clone(),
            ..Options::default()
        };
        let journal = effect_journal::open(&options).await.unwrap();
        unknown(journal.as_ref()).await;
        run(&args(&url, 1, true), &session()).await.unwrap();
        let totals = journal.totals(&Scope::all()).await.unwrap();
        assert_eq!(totals.settled.spend.cost_micros, 12_500);
        assert_eq!(totals.unknown.attempts, 0);
        let notes = journal.notes(NoteFilter::default()).await.unwrap();
        assert_eq!(
            (notes[0].actor.as_str(), notes[0].reason.as_str()),
            ("ana", "bill 42")
        );
        let failure = run(&args(&url, 1, false), &session()).await.unwrap_err();
        assert_eq!(failure.code, "Refused", "{failure:?}");
        let failure = run(&args(&url, 2, false), &session()).await.unwrap_err();
        assert_eq!(failure.code, "NotFound", "{failure:?}");
        assert!(failure.message.contains("spend attempts"), "{failure:?}");
    }
}
