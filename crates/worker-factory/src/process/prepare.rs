//! From the command line to everything that is decided before anything is started.
//!
//! Whoever asks to see the configuration sees it as the process would use it, with what nobody set filled in, and is told
//! of every mistake besides: in a value, in the connection's variables, in a file that is named and not there.

use std::collections::HashMap;

use super::{Options, Service, say};
use crate::{
    Surroundings,
    cli::{CommonArgs, Invocation},
    config::{self, Loaded, Problem, Schema, Sections, files, schema},
    connection::Profile,
    exit::Exit,
};

/// Everything that was decided before anything was started.
#[derive(Debug)]
pub(super) struct Plan<T> {
    pub(super) service: Service,
    pub(super) options: Options,
    pub(super) own: T,
    pub(super) profile: Profile,
}

/// Parses, loads and resolves; `None` when the command line asked for no more than that.
pub(super) fn prepare<T: Sections>(
    service: Service,
    invocation: &Invocation,
) -> Result<Option<Plan<T>>, Exit> {
    let args = CommonArgs::parse(&service, &invocation.args)?;
    let schema = schema::of::<Options, T>(service.name);
    if args.print_schema {
        say(&mut std::io::stdout(), &schema::text(&schema));
        return Ok(None);
    }
    let surroundings = Surroundings::of(&invocation.env);
    let request = args.load_request(&service, &invocation.env);
    let Loaded {
        options,
        problems,
        origins,
    } = config::load::<Options, T>(&request, &schema, &surroundings);
    let Some((options, own)) = options else {
        return Err(refused(&service, problems));
    };
    let values_are_right = problems.is_empty();
    let mut problems = problems;
    // The connection's variables and the files are checked even when a value is wrong, so that all mistakes show at once.
    let profile = resolved(&options, surroundings, &mut problems);
    problems.extend(files::unreadable(&own.files()));
    for problem in &mut problems {
        origins.mark(problem);
    }
    if args.print_config && values_are_right {
        show(&service, &printed(&options, &own, profile.as_ref(), &schema))?;
    }
    let (Some(profile), true) = (profile, problems.is_empty()) else {
        return Err(refused(&service, problems));
    };
    if args.print_config {
        return Ok(None);
    }
    if args.check_config {
        say(&mut std::io::stdout(), "the configuration is valid\n");
        return Ok(None);
    }
    Ok(Some(Plan {
        service,
        options,
        own,
        profile,
    }))
}

fn resolved(options: &Options, surroundings: Surroundings, problems: &mut Vec<Problem>) -> Option<Profile> {
    let variables: HashMap<String, String> = surroundings.variables.into_iter().collect();
    Profile::resolve(&options.temporal, &variables)
        .map_err(|found| problems.extend(found))
        .ok()
}

fn refused(service: &Service, problems: Vec<Problem>) -> Exit {
    say(
        &mut std::io::stderr(),
        &format!("{}: {}\n", service.name, config::Errors::from(problems)),
    );
    Exit::Config
}

fn show(service: &Service, printed: &Result<String, toml::ser::Error>) -> Result<(), Exit> {
    match printed {
        Ok(text) => {
            say(&mut std::io::stdout(), text);
            Ok(())
        }
        Err(error) => {
            let name = service.name;
            say(
                &mut std::io::stderr(),
                &format!("{name}: the configuration cannot be printed: {error}\n"),
            );
            Err(Exit::Config)
        }
    }
}

/// Renders the configuration below a line about what `TEMPORAL_*` and the profile file came to.
pub(super) fn printed<T: Sections>(
    options: &Options,
    own: &T,
    profile: Option<&Profile>,
    schema: &Schema,
) -> Result<String, toml::ser::Error> {
    let connection = profile.map_or_else(String::new, |profile| {
        format!(
            "# connects to {}, namespace `{}`\n",
            profile.address(),
            profile.namespace
        )
    });
    Ok(connection + &config::print(options, own, schema)?)
}
