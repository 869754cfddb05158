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
