//! The activities as Temporal sees them: each a short shell around one typed function.
//!
//! The SDK makes anything reached with a bare `?` retryable, so the shell converts once, explicitly.
#![expect(
    missing_docs,
    clippy::missing_errors_doc,
    reason = "the SDK's macro generates constants without documentation"
)]

use std::{convert::Infallible, sync::Arc};

use activity_context::{Settings, scope};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflow_types::{
    activities::{BuildManifest, DiscardStaged, PreprocessData, ValidateData, WriteResults},
    proto::{
        BuildManifestInput, BuildManifestOutput, DiscardStagedInput, DiscardStagedOutput,
        PreprocessDataInput, PreprocessDataOutput, ValidateDataInput, ValidateDataOutput, WriteResultsInput,
        WriteResultsOutput,
    },
    wire::Wire,
};

use crate::{
    Error, discard, manifest, preprocess, results,
    services::{Scope, Services},
    validate,
};

/// The activities of the queue `data-processing`.
#[derive(Debug)]
pub struct DataActivities {
    services: Services,
}

impl DataActivities {
    /// Makes the activities over what they need.
    pub fn new(services: Services) -> Self {
        Self { services }
    }
}

#[activities]
impl DataActivities {
    #[activity(definition = ValidateData)]
    pub async fn validate_data(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: Wire<ValidateDataInput>,
    ) -> Result<Wire<ValidateDataOutput>, ActivityError> {
        driven(&ctx, |scope| async move {
            validate::run(&self.services, input, &scope).await
        })
        .await
    }

    #[activity(definition = PreprocessData)]
    pub async fn preprocess_data(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: Wire<PreprocessDataInput>,
    ) -> Result<Wire<PreprocessDataOutput>, ActivityError> {
        driven(&ctx, |scope| async move {
            preprocess::run(&self.services, input, &scope).await
        })
        .await
    }

    #[activity(definition = BuildManifest)]
    pub async fn build_manifest(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: Wire<BuildManifestInput>,
    ) -> Result<Wire<BuildManifestOutput>, ActivityError> {
        driven(&ctx, |scope| async move {
            manifest::run(&self.services, input, &scope).await
        })
        .await
    }

    #[activity(definition = WriteResults)]
    pub async fn write_results(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: Wire<WriteResultsInput>,
    ) -> Result<Wire<WriteResultsOutput>, ActivityError> {
        driven(&ctx, |scope| async move {
            results::run(&self.services, input, &scope).await
        })
        .await
    }

    #[activity(definition = DiscardStaged)]
    pub async fn discard_staged(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: Wire<DiscardStagedInput>,
    ) -> Result<Wire<DiscardStagedOutput>, ActivityError> {
        driven(&ctx, |scope| async move {
            discard::run(&self.services, input, &scope).await
        })
        .await
    }
}

/// Runs work with a heartbeat beside it and converts what it ends with.
async fn driven<T, W, F>(ctx: &ActivityContext, work: W) -> Result<Wire<T>, ActivityError>
where
    W: FnOnce(Scope) -> F,
    F: Future<Output = Result<T, Error>>,
{
    // Nothing here is leased, so no beat can find the right to go on lost.
    let on_beat = || std::future::ready(Ok::<_, Infallible>(()));
    let done = scope::run(ctx, Settings::default(), on_beat, |scope| Box::pin(work(scope))).await;
    done.map(Wire::new)
        .map_err(|stop| stop.into_activity_error(Error::into_failure))
}
