//! The activity as Temporal sees it: a short shell around one typed function.
//!
//! The SDK makes anything reached with a bare `?` retryable, so the shell converts once, explicitly.
#![expect(
    missing_docs,
    clippy::missing_errors_doc,
    reason = "the SDK's macro generates constants without documentation"
)]

use std::sync::Arc;

use activity_context::{Settings, scope};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflow_types::{
    activities::GenerateText,
    proto::{GenerateTextInput, GenerateTextOutput},
    wire::Wire,
};

use crate::{
    failed::Failed,
    generate::{self, Services},
    journaled::Holder,
    route::Attempt,
};

/// The activities of the queue `ai-processing`.
pub struct LlmActivities {
    services: Services,
}

impl LlmActivities {
    /// Makes the activities over what they need.
    pub fn new(services: Services) -> Self {
        Self { services }
    }
}

#[activities]
impl LlmActivities {
    #[activity(definition = GenerateText)]
    pub async fn generate_text(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: Wire<GenerateTextInput>,
    ) -> Result<Wire<GenerateTextOutput>, ActivityError> {
        let holder = Holder::new(Arc::clone(&self.services.journal));
        let services = &self.services;
        let attempt = Attempt {
            number: ctx.info().attempt,
            first_scheduled: ctx.info().scheduled_time,
        };
        let done = scope::run(
            &ctx,
            Settings::default(),
            || holder.renew(),
            |scope| Box::pin(generate::run(services, &holder, (input, attempt), scope)),
        )
        .await;
        done.map(Wire::new)
            .map_err(|stop| stop.into_activity_error(|failed: Box<Failed>| failed.into_failure()))
    }
}
