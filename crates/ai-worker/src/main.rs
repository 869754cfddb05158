//! Serves the queue `ai-processing`: workflows and model calls.
//!
//! A composition and nothing else: it reads the environment, hands each crate its options, registers what the queue's
//! contract lists, and leaves the rest to `worker-factory`.

mod options;
mod threads;

use std::{process::ExitCode, sync::Arc};

use activity_context::BlockingPool;
use ai_workflows::{DiscardStagedWorkflow, LlmBatchWorkflow, LlmPipelineWorkflow};
use blob_store::BlobStore;
use llm_activities::{LlmActivities, Metrics, Providers, Services};
use local_models::LocalModels;
use model_clients::{anthropic, openai, prices::Prices, provider::ModelProvider};
use options::AiWorkerOptions;
use worker_factory::{BoxError, Contract, Host, Invocation, Service};
use workflow_types::names::{AI_CONTRACT, AI_QUEUE};

const SERVICE: Service = Service {
    name: "ai-worker",
    version: env!("CARGO_PKG_VERSION"),
    about: "Serves the queue ai-processing: workflows and model calls.",
    env_prefix: "AI_WORKER",
    task_queue: AI_QUEUE,
    contract: Contract {
        workflows: AI_CONTRACT.workflows,
        activities: AI_CONTRACT.activities,
    },
    search_attributes: options::SEARCH_ATTRIBUTES,
    start_command: "pipelinectl dev",
    setup_command: "pipelinectl setup",
};

fn main() -> ExitCode {
    let invocation = Invocation::new(std::env::args_os(), std::env::vars_os());
    threads::limit(&invocation);
    worker_factory::main(SERVICE, &invocation, compose)
}

async fn compose(options: AiWorkerOptions, mut host: Host) -> Result<Host, BoxError> {
    let journal = effect_journal::open(&options.journal).await?;
    let blobs = BlobStore::open(&options.blob_store)?;
    let local = Arc::new(LocalModels::new(options.models.local)?);
    local.prepare().await?;
    let mut providers: Vec<Arc<dyn ModelProvider>> = vec![local];
    let prices = Prices::load(options.prices.file.as_deref())?;
    for settings in options.models.openai.into_values() {
        providers.push(Arc::new(openai::Client::new(settings, &prices).await?));
    }
    for settings in options.models.anthropic.into_values() {
        providers.push(Arc::new(anthropic::Client::new(settings, &prices).await?));
    }
    let services = Services {
        journal: Arc::clone(&journal),
        blobs: blobs.clone(),
        providers: Providers::new(providers),
        pool: BlockingPool::new(local_models::provider::compute_threads()),
        metrics: Metrics::register(&host.metrics)?,
        identity: host.identity.clone(),
        journal_response_inline_bytes: options.answers.journal_inline_bytes,
    };
    host.worker.register_workflow::<LlmPipelineWorkflow>()?;
    host.worker.register_workflow::<LlmBatchWorkflow>()?;
    host.worker.register_workflow::<DiscardStagedWorkflow>()?;
    host.worker.register_activities(LlmActivities::new(services));
    host.check("journal writable", move || {
        let journal = Arc::clone(&journal);
        async move { journal.check().await }
    });
    host.check("blob store writable", move || {
        let blobs = blobs.clone();
        async move { blobs.check().await }
    });
    Ok(host)
}
