//! A command line that can't be understood, told in the form that it asks for.
//!
//! The parser that would know the form has failed, so the arguments are looked through for `--output json`: a program
//! that asked for JSON reads one JSON error whatever went wrong. Help and versions are answers for people and stay as
//! they are.

use std::ffi::OsString;

use clap::{Parser as _, error::ErrorKind};

use crate::{cli::Cli, failure::Failure};

/// Why there is no command to run.
#[derive(Debug)]
pub(crate) enum Refused {
    /// What is wrong, for a program.
    Told(Box<Failure>),
    /// What the parser shows to people: a mistake, the help or the version.
    Shown(clap::Error),
}

/// Parses the arguments, of which the first is the name of the program.
pub(crate) fn parse(arguments: &[OsString]) -> Result<Cli, Refused> {
    Cli::try_parse_from(arguments).map_err(|error| {
        if error.use_stderr() && asks_for_json(arguments) {
            Refused::Told(Box::new(Failure::usage(message(&error))))
        } else {
            Refused::Shown(error)
        }
    })
}

fn asks_for_json(arguments: &[OsString]) -> bool {
    let flags: Vec<_> = arguments
        .iter()
        .take_while(|argument| *argument != "--")
        .collect();
    let apart = flags
        .windows(2)
        .any(|pair| matches!(pair, [flag, value] if *flag == "--output" && *value == "json"));
    apart || flags.iter().any(|flag| *flag == "--output=json")
}

/// Takes the mistake out of the parser's text and leaves the usage that follows it.
fn message(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "a command is missing; --help shows the commands".to_owned();
    }
    let shown = error.to_string();
    let said = shown.split("\n\n").next().unwrap_or_default();
    let said = said.strip_prefix("error: ").unwrap_or(said);
    let words: Vec<_> = said.split_whitespace().collect();
    format!("{}; --help shows what there is", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn refused(line: &str) -> Refused {
        let arguments: Vec<_> = line.split(' ').map(OsString::from).collect();
        parse(&arguments).unwrap_err()
    }

    #[test]
    fn a_program_is_told_of_a_usage_error_as_of_any_other() {
        for (line, words) in [
            ("pipelinectl list --output json --colour red", "'--colour'"),
            (
                "pipelinectl --output=json llm run words --file a",
                "cannot be used with",
            ),
            ("pipelinectl llm run --output json", "required arguments"),
            ("pipelinectl --output json", "requires a subcommand"),
            ("pipelinectl --output json llm", "a command is missing"),
        ] {
            let Refused::Told(failure) = refused(line) else {
                panic!("{line} is shown")
            };
            assert_eq!((failure.exit, failure.code.as_str()), (Exit::Usage, "Usage"));
            assert!(failure.message.contains(words), "{}", failure.message);
            assert!(!failure.message.contains("Usage:"), "{}", failure.message);
        }
    }

    #[test]
    fn people_help_and_versions_get_the_parsers_own_text() {
        for (line, code) in [
            ("pipelinectl list --colour red", 2),
            ("pipelinectl list --colour -- --output json", 2),
            ("pipelinectl --output json --help", 0),
            ("pipelinectl --output json --version", 0),
        ] {
            let Refused::Shown(error) = refused(line) else {
                panic!("{line} is told")
            };
            assert_eq!(error.exit_code(), code, "{line}");
        }
    }
}
