//! What the command line takes and refuses.

use clap::CommandFactory as _;

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split(' '))
}

fn run_args(line: &str) -> RunArgs {
    let Command::Llm {
        command: LlmCommand::Run(args),
    } = parse(line).unwrap().command
    else {
        panic!("{line} is no llm run")
    };
    *args
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn exactly_one_input_is_taken() {
    assert!(parse("pipelinectl llm run").is_err());
    assert!(parse("pipelinectl llm run words --file a").is_err());
    for input in ["words", "-", "--file a", "--dir a", "--jsonl a", "--input-json -"] {
        assert!(parse(&format!("pipelinectl llm run {input}")).is_ok(), "{input}");
    }
}

#[test]
fn what_contradicts_itself_is_refused() {
    for flags in [
        "--wait --detach",
        "--detach --out a",
        "--detach --wait-timeout 1m",
        "--use-existing",
        "--max-repairs 1",
        "--skip-unreadable",
    ] {
        assert!(
            parse(&format!("pipelinectl llm run words {flags}")).is_err(),
            "{flags}"
        );
    }
    assert!(parse("pipelinectl result x --no-wait --wait-timeout 1m").is_err());
}

#[test]
fn what_belongs_together_is_asked_for_together() {
    for line in [
        "llm run words --fallback-on Auth",
        "llm run words --fallback-patience 5",
        "llm run words --review-timeout 1h",
        "llm run words --follow --detach",
        "llm run words --max-cost 1,5",
        "budget raise x",
        "budget tenant set acme --period day",
        "budget tenant set acme --max-cost 5",
        "review edit x",
        "review edit x --text a --text-file b",
        "spend settle k 1 --reason r",
        "spend settle k 1 --reason r --billed --cost 1",
        "spend settle k 1 --reason r --not-billed --cost 1",
        "spend settle k 1 --not-billed",
        "spend settle k 1 --reason r --billed --not-billed --cost 1 --input-tokens 1 --output-tokens 1",
        "spend report --by colour",
    ] {
        assert!(parse(&format!("pipelinectl {line}")).is_err(), "{line}");
    }
    for line in [
        "llm run words --review",
        "llm run words --review problem --escalate-to lead",
        "budget raise x --max-cost 2.50 --max-tokens 9 --deadline 2h --reason r --actor ana",
        "budget tenant set acme --period month --max-tokens 5",
        "budget tenant remove acme --period month",
        "review edit x --json-file -",
        "spend settle k 1 --reason r --billed --cost 0.01 --input-tokens 1 --output-tokens 1",
        "spend settle k 1 --reason r --not-billed --actor ana",
        "spend report --by day,price-table,state --since 7d --until 2026-11-05 --output json",
        "spend attempts --state unknown --workflow x",
        "follow x --wait-timeout 1m",
    ] {
        let parsed = parse(&format!("pipelinectl {line}"));
        assert!(parsed.is_ok(), "{line}: {:?}", parsed.err());
    }
}

#[test]
fn a_time_has_a_unit() {
    for (text, seconds) in [
        ("90", 90),
        ("90s", 90),
        ("10m", 600),
        ("2h", 7_200),
        ("1d", 86_400),
    ] {
        let args = run_args(&format!("pipelinectl llm run words --deadline {text}"));
        assert_eq!(args.request.deadline.unwrap().seconds(), seconds, "{text}");
    }
    for text in ["0s", "m", "1w", "1.5h", "-1s", "99999999999999999999d"] {
        assert!(text.parse::<DurationArg>().is_err(), "{text}");
    }
}

#[test]
fn global_flags_may_stand_anywhere() {
    let cli = parse("pipelinectl list --output json --address 127.0.0.1:1").unwrap();
    assert_eq!(cli.global.output, Format::Json);
    assert_eq!(cli.global.address.as_deref(), Some("127.0.0.1:1"));
}
