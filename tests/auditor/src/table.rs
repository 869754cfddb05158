//! The verdict as people read it.

use std::fmt::Write as _;

use effect_journal::Spend;

use crate::report::Verdict;

const MICROS_OF_UNIT: i64 = 1_000_000;

/// Writes a verdict for people.
pub fn table(verdict: &Verdict) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _written = write(verdict, &mut text);
    text
}

fn write(verdict: &Verdict, text: &mut String) -> std::fmt::Result {
    let figures = &verdict.figures;
    writeln!(
        text,
        "effects   {:>7}  with a result {}",
        figures.keys, figures.results
    )?;
    writeln!(
        text,
        "calls     {:>7}  answered {}, refused {}, broken off {}",
        figures.calls, figures.answered, figures.refused, figures.broken
    )?;
    writeln!(
        text,
        "attempts  {:>7}  settled {}, released {}, unknown {}",
        figures.settled + figures.released + figures.unknown,
        figures.settled,
        figures.released,
        figures.unknown
    )?;
    writeln!(
        text,
        "histories {:>7}  answers {}, of these replayed {}",
        figures.runs, figures.told, figures.replayed
    )?;
    writeln!(text, "\n{:34}{:>12}{:>12}{:>16}", "", "input", "output", "money")?;
    for (what, spend) in [
        ("bill", figures.billed),
        ("ledger, settled", figures.spent),
        ("ledger, unknown, at most", figures.unknown_at_most),
        ("  of the bill for those", figures.unknown_billed),
    ] {
        writeln!(
            text,
            "{what:34}{:>12}{:>12}{:>16}",
            spend.input_tokens,
            spend.output_tokens,
            money(&spend)
        )?;
    }
    write_lists(verdict, text)
}

fn write_lists(verdict: &Verdict, text: &mut String) -> std::fmt::Result {
    if !verdict.unknown.is_empty() {
        writeln!(text, "\nunknown: the outcome could not be learned")?;
    }
    for unknown in &verdict.unknown {
        let call = match unknown.call {
            Some(seq) => format!("call {seq} was billed {}", money(&unknown.billed)),
            None => "never reached the provider".to_owned(),
        };
        let most = money(&unknown.at_most);
        writeln!(
            text,
            "  {}  {}; at most {most}, {call}",
            unknown.attempt, unknown.reason
        )?;
    }
    let retried = verdict.figures.retried_after_refusal;
    writeln!(
        text,
        "\ncalled again: {} ({retried} more after a refusal)",
        verdict.repeats.len()
    )?;
    for repeat in &verdict.repeats {
        writeln!(
            text,
            "  {}  because of {}",
            repeat.attempt,
            repeat.because.join(", ")
        )?;
    }
    if !verdict.unanswered.is_empty() {
        writeln!(text, "\nwithout a result: {}", verdict.unanswered.join(", "))?;
    }
    if verdict.holds {
        return writeln!(text, "\nverdict: holds");
    }
    writeln!(
        text,
        "\nverdict: does not hold, {} offences",
        verdict.violations.len()
    )?;
    for violation in &verdict.violations {
        // The rules are named as in JSON, so that one word finds them in either.
        let rule = serde_json::to_value(violation.rule).unwrap_or_default();
        let rule = rule.as_str().unwrap_or_default();
        writeln!(text, "  {rule}  {}: {}", violation.subject, violation.detail)?;
    }
    Ok(())
}

fn money(spend: &Spend) -> String {
    let micros = spend.cost_micros;
    format!("{}.{:06}", micros / MICROS_OF_UNIT, micros % MICROS_OF_UNIT)
}
