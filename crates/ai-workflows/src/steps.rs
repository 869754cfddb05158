//! What a workflow's steps have in common: whose run it is, what stops it, how an activity is called.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use temporalio_workflow::{
    ChildWorkflowOptions, ParentClosePolicy, WorkflowCancellationToken, WorkflowContext,
    common::{
        ActivityDefinition, SearchAttributeKey, WorkflowDefinition, data_converters::TemporalDeserializable,
    },
};
use workflow_types::{
    failure::FailureCode,
    names::search_attribute,
    proto::Usage,
    request::from_double,
    run_scope::RunScope,
    wire::{Message, Wire},
};

use crate::{
    failures::{StepError, contract_broken},
    policy::Policy,
};

const PIPELINE: SearchAttributeKey<String> = SearchAttributeKey::keyword(search_attribute::PIPELINE);
const TENANT: SearchAttributeKey<String> = SearchAttributeKey::keyword(search_attribute::TENANT);
const MODEL: SearchAttributeKey<String> = SearchAttributeKey::keyword(search_attribute::MODEL);
const STAGE: SearchAttributeKey<String> = SearchAttributeKey::keyword(search_attribute::STAGE);

const AWAITING: SearchAttributeKey<String> = SearchAttributeKey::keyword(search_attribute::AWAITING);
const SPEND: SearchAttributeKey<i64> = SearchAttributeKey::int(search_attribute::SPEND_MICROS);

/// The stage of a run that failed.
pub(crate) const FAILED: &str = "failed";

/// One run's way to its activities.
pub(crate) struct Steps<W> {
    /// The workflow's context.
    pub ctx: WorkflowContext<W>,
    /// Stops every step of the run.
    pub stop: WorkflowCancellationToken,
    /// Names the run's effects and what it stages.
    pub scope: RunScope,
}

impl<W> Clone for Steps<W> {
    fn clone(&self) -> Self {
        Self {
            ctx: self.ctx.clone(),
            stop: self.stop.clone(),
            scope: self.scope.clone(),
        }
    }
}

impl<W> Steps<W> {
    /// Prepares the steps of the run that `ctx` belongs to.
    pub(crate) fn new(ctx: &WorkflowContext<W>) -> Self {
        let info = ctx.info();
        let scope = RunScope::new(
            info.namespace(),
            info.workflow_id(),
            info.first_execution_run_id(),
        );
        Self {
            ctx: ctx.clone(),
            stop: ctx.cancellation_token().child_token(),
            scope,
        }
    }

    /// The same run's steps, out of reach of whoever stops the run: for what has to be done in the end.
    pub(crate) fn detached(&self) -> Self {
        Self {
            stop: WorkflowCancellationToken::new(),
            ..self.clone()
        }
    }

    /// The same run's steps on a token of their own below the run's: for what ends before the run does.
    pub(crate) fn apart(&self) -> Self {
        Self {
            stop: self.ctx.cancellation_token().child_token(),
            ..self.clone()
        }
    }

    /// Calls an activity by its declaration.
    pub(crate) async fn call<A, I, O>(
        &self,
        activity: A,
        input: I,
        policy: Policy,
        within: Option<Duration>,
    ) -> Result<O, StepError>
    where
        A: ActivityDefinition<Input = Wire<I>, Output = Wire<O>>,
        I: Message,
        O: Message,
    {
        let name = activity.name().to_owned();
        let options = policy.options(self.stop.clone(), within);
        let output = self
            .ctx
            .execute_activity(activity, Wire::new(input), options)
            .await
            .map_err(|error| self.told(error.into()))?;
        output
            .into_message()
            .map_err(|problems| contract_broken(&name, &problems))
    }

    /// Runs a child workflow to its end.
    pub(crate) async fn child<D, I, O>(
        &self,
        definition: D,
        input: I,
        workflow_id: String,
        within: Duration,
    ) -> Result<O, StepError>
    where
        D: WorkflowDefinition<Input = Wire<I>, Output = Wire<O>> + 'static,
        I: Message,
        O: Message,
    {
        let name = definition.name().to_owned();
        let options = ChildWorkflowOptions::builder()
            .workflow_id(workflow_id)
            .cancellation_token(self.stop.clone())
            .execution_timeout(within)
            .build();
        let child = self
            .ctx
            .start_child_workflow(definition, Wire::new(input), options)
            .await?;
        let output = child.result().await.map_err(|error| self.told(error.into()))?;
        output
            .into_message()
            .map_err(|problems| contract_broken(&name, &problems))
    }

    /// Starts a workflow that goes on when this run has ended, and returns once the server has it.
    pub(crate) async fn leave_to<D, I>(
        &self,
        definition: D,
        input: I,
        workflow_id: String,
        within: Duration,
    ) -> Result<(), StepError>
    where
        D: WorkflowDefinition<Input = Wire<I>> + 'static,
        D::Output: TemporalDeserializable,
        I: Message,
    {
        let options = ChildWorkflowOptions::builder()
            .workflow_id(workflow_id)
            .cancellation_token(self.stop.clone())
            .parent_close_policy(ParentClosePolicy::Abandon)
            .execution_timeout(within)
            .build();
        let _started = self
            .ctx
            .start_child_workflow(definition, Wire::new(input), options)
            .await?;
        Ok(())
    }

    /// Tells a stop from a failure: a step whose worker died while it was being stopped ends by its time-out, and is
    /// stopped all the same.
    fn told(&self, error: StepError) -> StepError {
        match error {
            StepError::Failed(failure)
                if failure.code == FailureCode::DeadlineExceeded && self.stop.is_cancelled() =>
            {
                StepError::Cancelled
            }
            StepError::Failed(_) | StepError::Cancelled => error,
        }
    }

    /// Makes the run findable by what it is, unless whoever started it already did.
    pub(crate) fn describe(&self, pipeline: &str, tenant: Option<&str>, model: &str) {
        if self.ctx.search_attributes().get(&PIPELINE).is_some() {
            return;
        }
        let tenant = tenant.map(|tenant| TENANT.value_set(tenant.to_owned()));
        let always = [
            PIPELINE.value_set(pipeline.to_owned()),
            MODEL.value_set(model.to_owned()),
        ];
        self.ctx
            .upsert_search_attributes(always.into_iter().chain(tenant));
    }

    /// Makes a run findable that was refused. What it asked for is left out, because nothing of it has been checked.
    pub(crate) fn show_refused(&self, pipeline: &str) {
        let known = self.ctx.search_attributes().get(&PIPELINE).is_some();
        let pipeline = (!known).then(|| PIPELINE.value_set(pipeline.to_owned()));
        let stage = STAGE.value_set(FAILED.to_owned());
        self.ctx
            .upsert_search_attributes(pipeline.into_iter().chain([stage]));
    }

    /// Makes the run findable by what it waits for, or no longer.
    pub(crate) fn show_awaiting(&self, what: Option<&str>) {
        // No longer is the empty text: the SDK's own way to unset sends what the server refuses, and with it the whole
        // workflow task, for ever.
        let what = what.unwrap_or_default();
        self.ctx
            .upsert_search_attributes([AWAITING.value_set(what.to_owned())]);
    }

    /// Makes the run findable by what it has cost, unknown calls at their upper bound. What cost nothing shows nothing.
    pub(crate) fn show_spend(&self, usage: &Usage) {
        let micros = from_double(usage.cost_micros + usage.unknown_cost_micros);
        if micros > 0 {
            let micros = i64::try_from(micros).unwrap_or(i64::MAX);
            self.ctx.upsert_search_attributes([SPEND.value_set(micros)]);
        }
    }

    /// Gives the workflow's own time, in seconds since 1970.
    pub(crate) fn now(&self) -> f64 {
        unix_seconds(self.ctx.workflow_time())
    }

    /// Makes the run findable by where it is.
    pub(crate) fn show_stage(&self, stage: &str) {
        self.ctx
            .upsert_search_attributes([STAGE.value_set(stage.to_owned())]);
    }
}

/// Gives a workflow's time in seconds since 1970.
pub(crate) fn unix_seconds(time: Option<SystemTime>) -> f64 {
    time.and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .unwrap_or_default()
        .as_secs_f64()
}
