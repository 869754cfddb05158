//! The audit of a rig: by the auditor's own library where a test looks on, and by its program where it has the last word.

use std::time::Duration;

use anyhow::ensure;
use auditor::{Evidence, Rule, Verdict};

use super::Rig;
use crate::{command::Said, patience::within};

/// What was under way when everything else had ended is over when its lease is.
const OVER_WITHIN: Duration = Duration::from_mins(1);

impl Rig {
    /// Holds the bill, the journal and all histories against each other, and fails unless they agree; every effect has
    /// to have a result.
    ///
    /// # Errors
    ///
    /// What differs, with the whole verdict.
    pub async fn audit(&self) -> anyhow::Result<Verdict> {
        let verdict = self.verdict(true).await?;
        ensure!(verdict.holds, "{}", auditor::table(&verdict));
        Ok(verdict)
    }

    /// Gives the verdict once nothing is under way, whatever it says.
    ///
    /// # Errors
    ///
    /// That an account can't be read.
    pub async fn verdict(&self, every_key_answered: bool) -> anyhow::Result<Verdict> {
        let mut verdict = Verdict::default();
        let over = within(OVER_WITHIN, "all calls are over", async || {
            verdict = auditor::audit(&self.evidence(every_key_answered).await?);
            let under_way = verdict
                .violations
                .iter()
                .any(|violation| violation.rule == Rule::NotOver);
            Ok(!under_way)
        });
        // One that never ends is in the verdict.
        drop(over.await);
        Ok(verdict)
    }

    async fn evidence(&self, every_key_answered: bool) -> anyhow::Result<Evidence> {
        Ok(Evidence {
            calls: self.calls()?,
            attempts: auditor::attempts(&self.journal).await?,
            runs: auditor::runs_of(&self.client).await?,
            every_key_answered,
        })
    }

    /// Runs the auditor's program on the rig's accounts, with further arguments.
    ///
    /// # Errors
    ///
    /// That it can't be started, or hangs.
    pub async fn run_auditor(&self, more: &[&str]) -> anyhow::Result<Said> {
        let bill = self.bill().display().to_string();
        let server = self.server.address();
        let accounts = [
            "--bill",
            &bill,
            "--journal",
            &self.around.journal,
            "--address",
            &server,
        ];
        self.desk
            .run("audit", &[&accounts, more].concat(), &self.around.folder)
            .await
    }
}
