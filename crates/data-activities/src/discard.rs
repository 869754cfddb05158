//! `discardStaged`: removes what a run staged.
//!
//! The prefix comes from the workflow and is parsed into one that can only be a run's own folder, so a wrong one is
//! refused and never widens what is removed. Running twice removes nothing more.

use workflow_types::{
    proto::{DiscardStagedInput, DiscardStagedOutput},
    wire::Wire,
};

use crate::{
    Error,
    services::{Scope, Services, proceed},
    stage,
};

/// Removes `staged/` below a run's prefix, and `results/` when nobody will be given a reference to it.
pub(crate) async fn run(
    services: &Services,
    input: Wire<DiscardStagedInput>,
    scope: &Scope,
) -> Result<DiscardStagedOutput, Error> {
    let input = input.into_message()?;
    let prefix = stage::prefix(&input.stage_prefix)?;
    let folders = if input.results {
        &[stage::STAGED, stage::RESULTS][..]
    } else {
        &[stage::STAGED][..]
    };
    let mut objects = 0;
    for folder in folders {
        let folder = prefix.folder(folder).map_err(Error::Staged)?;
        objects += services
            .store
            .delete_prefix(&folder)
            .await
            .map_err(Error::Staged)?;
        proceed(scope, "objects", objects)?;
    }
    services.metrics.discarded(objects);
    Ok(DiscardStagedOutput {
        objects: i32::try_from(objects).unwrap_or(i32::MAX),
    })
}

#[cfg(test)]
mod tests;
