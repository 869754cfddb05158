//! `writeResults`: a page's results as JSONL, or all pages as one file.
//!
//! A page is written as a part of its own, so that a batch which is cancelled or continued as new has lost nothing of
//! what is done; the parts are then joined in order. They are kept beside the joined file: a join that is retried needs
//! them again. Answers come by reference and small ones are taken into the line, because a result file that is all
//! references is no use to `jq`.

use futures::{StreamExt, TryStreamExt, stream};
use workflow_types::{
    problem::Problems,
    proto::{
        BlobRef, ItemReceipt, ResultJoin, ResultPage, WriteResultsInput, WriteResultsOutput,
        write_results_input::Work,
    },
    wire::Wire,
};

use crate::{
    Error,
    services::{Scope, Services, proceed},
    stage,
};

mod line;

/// Answers that are read at once.
const READS: usize = 8;

/// Writes a page of results, or joins the pages.
pub(crate) async fn run(
    services: &Services,
    input: Wire<WriteResultsInput>,
    scope: &Scope,
) -> Result<WriteResultsOutput, Error> {
    let input = input.into_message()?;
    let prefix = stage::prefix(&input.stage_prefix)?;
    let writing = Writing {
        services,
        prefix,
        scope,
    };
    let file = match input.work {
        Some(Work::Page(page)) => writing.page(page).await?,
        Some(Work::Join(join)) => writing.join(&join).await?,
        None => return Err(Problems::one("work", "is missing; set page or join").into()),
    };
    Ok(WriteResultsOutput { file: Some(file) })
}

/// What a write needs.
pub(crate) struct Writing<'a> {
    pub(crate) services: &'a Services,
    pub(crate) prefix: blob_store::StagePrefix,
    scope: &'a Scope,
}

impl Writing<'_> {
    async fn page(&self, page: ResultPage) -> Result<BlobRef, Error> {
        check_page(&page)?;
        let path = stage::path(&self.prefix, &stage::part(page.number))?;
        let mut writer = self
            .services
            .store
            .writer(&path, stage::JSONL)
            .await
            .map_err(Error::Staged)?;
        let mut lines = stream::iter(page.receipts)
            .map(|receipt| line::of(self, receipt))
            .buffered(READS)
            .boxed();
        let mut written = 0;
        while let Some(line) = lines.try_next().await? {
            writer.write(&line).await.map_err(Error::Staged)?;
            written += 1;
            self.services.metrics.result();
            proceed(self.scope, "results", written)?;
        }
        writer.finish().await.map_err(Error::Staged)
    }

    async fn join(&self, join: &ResultJoin) -> Result<BlobRef, Error> {
        if join.pages < 0 {
            return Err(Problems::one("join.pages", "must not be negative").into());
        }
        let path = stage::path(&self.prefix, stage::RESULTS_FILE)?;
        let mut writer = self
            .services
            .store
            .writer(&path, stage::JSONL)
            .await
            .map_err(Error::Staged)?;
        for number in 0..join.pages {
            let part = stage::path(&self.prefix, &stage::part(number))?;
            let part = BlobRef {
                uri: part.uri(),
                ..BlobRef::default()
            };
            let mut reader = self.services.store.read(&part).await.map_err(Error::Staged)?;
            while let Some(piece) = reader.next().await.map_err(Error::Staged)? {
                self.services.metrics.read(piece.len());
                writer.write(&piece).await.map_err(Error::Staged)?;
                proceed(self.scope, "parts", number.unsigned_abs().into())?;
            }
        }
        writer.finish().await.map_err(Error::Staged)
    }
}

fn check_page(page: &ResultPage) -> Result<(), Problems> {
    let mut problems = Problems::new();
    if page.number < 0 {
        problems.at("page.number", "must not be negative");
    }
    let negative = |receipt: &ItemReceipt| receipt.index < 0;
    if let Some(position) = page.receipts.iter().position(negative) {
        problems.at(format!("page.receipts[{position}].index"), "must not be negative");
    }
    problems.or(())
}

#[cfg(test)]
mod tests;
