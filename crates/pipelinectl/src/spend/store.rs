//! Which journal: the one that is named, or the one of this machine.
//!
//! Opening a SQLite journal makes the file, which is right for a worker and wrong for whoever only looks: a mistyped path
//! would show an empty ledger. So a file has to be there.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use effect_journal::{Journal, Options, PostgresOptions};

use crate::{cli::JournalArgs, dev::STATE_FOLDER, failure::Failure, session::Session};

const FILE: &str = "journal.db";
const SQLITE: &str = "sqlite://";

/// Opens the journal that flags or variables name, or that of this machine.
pub(crate) async fn open(args: &JournalArgs, session: &Session) -> Result<Arc<dyn Journal>, Failure> {
    let url = args
        .journal
        .clone()
        .map_or_else(|| local_url(session), Ok::<_, Failure>)?;
    if let Some(path) = url.strip_prefix(SQLITE).map(Path::new)
        && path.is_absolute()
        && !path.is_file()
    {
        return Err(Failure::bad_input(format!(
            "there is no journal at {}: give the workers' own with --journal",
            path.display()
        )));
    }
    let defaults = PostgresOptions::default();
    let options = Options {
        url,
        postgres: PostgresOptions {
            password_file: args.journal_password_file.clone(),
            ca_file: args.journal_ca_file.clone(),
            schema: args.journal_schema.clone().unwrap_or(defaults.schema),
            connections: 2,
            ..PostgresOptions::default()
        },
        ..Options::default()
    };
    Ok(effect_journal::open(&options).await?)
}

fn local_url(session: &Session) -> Result<String, Failure> {
    let Some(path) = local(&session.env, Path::new(STATE_FOLDER)) else {
        return Err(Failure::bad_input(
            "there is no journal on this machine: name that of the workers with --journal or PIPELINECTL__JOURNAL__URL",
        ));
    };
    session.printer.remark(&format!("journal: {}", path.display()));
    Ok(format!("{SQLITE}{}", path.display()))
}

/// Finds the journal of a `pipelinectl dev` in this folder, or of workers that were started without a configuration.
fn local(env: &HashMap<String, String>, dev_folder: &Path) -> Option<PathBuf> {
    let absolute = |name: &str| env.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let project = |base: PathBuf| base.join("temporal-ai-workers");
    let user = absolute("TAW_STATE")
        .or_else(|| absolute("XDG_STATE_HOME").map(project))
        .or_else(|| absolute("HOME").map(|home| project(home.join(".local/state"))));
    let dev = dev_folder.canonicalize().ok();
    [dev, user]
        .into_iter()
        .flatten()
        .map(|folder| folder.join(FILE))
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_journal_of_a_dev_beside_comes_before_that_of_the_user() {
        let folder = tempfile::tempdir().unwrap();
        let (dev, state) = (folder.path().join("dev"), folder.path().join("state"));
        let env = HashMap::from([("TAW_STATE".to_owned(), state.display().to_string())]);
        assert_eq!(local(&env, &dev), None);
        fs::create_dir_all(&state).unwrap();
        fs::write(state.join(FILE), "").unwrap();
        assert_eq!(local(&env, &dev), Some(state.join(FILE)));
        fs::create_dir_all(&dev).unwrap();
        fs::write(dev.join(FILE), "").unwrap();
        assert_eq!(local(&env, &dev), Some(dev.canonicalize().unwrap().join(FILE)));
        assert_eq!(local(&HashMap::new(), Path::new("absent")), None);
    }
}
