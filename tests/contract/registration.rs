//! What each worker registers is what its queue's contract lists.
//!
//! A worker checks this when it starts. Here it is checked before anything is started, with the activities as a worker
//! makes them, so that a forgotten registration doesn't wait for the tests with a server.

use activity_context::BlockingPool;
use ai_workflows::{DiscardStagedWorkflow, LlmBatchWorkflow, LlmPipelineWorkflow};
use blob_store::BlobStore;
use data_activities::{DataActivities, Models};
use llm_activities::{LlmActivities, Providers};
use prometheus::Registry;
use temporalio_sdk::WorkerOptions;
use worker_factory::contract::{Contract, check};
use workflow_types::names::{AI_CONTRACT, DATA_CONTRACT, QueueContract};

fn contract(of: &QueueContract) -> Contract {
    Contract {
        workflows: of.workflows,
        activities: of.activities,
    }
}

fn blobs(folder: &tempfile::TempDir) -> BlobStore {
    let options = blob_store::Options {
        url: format!("file://{}", folder.path().display()),
        ..blob_store::Options::default()
    };
    BlobStore::open(&options).unwrap()
}

#[tokio::test]
async fn the_ai_worker_registers_what_its_queue_lists() {
    let folder = tempfile::tempdir().unwrap();
    let journal = effect_journal::Options {
        url: format!("sqlite://{}/journal.db", folder.path().display()),
        ..effect_journal::Options::default()
    };
    let services = llm_activities::Services {
        journal: effect_journal::open(&journal).await.unwrap(),
        blobs: blobs(&folder),
        providers: Providers::new([]),
        pool: BlockingPool::new(1),
        metrics: llm_activities::Metrics::register(&Registry::new()).unwrap(),
        identity: "contract".to_owned(),
        journal_response_inline_bytes: 65_536,
    };
    let options = WorkerOptions::new(AI_CONTRACT.queue)
        .register_workflow::<LlmPipelineWorkflow>()
        .unwrap()
        .register_workflow::<LlmBatchWorkflow>()
        .unwrap()
        .register_workflow::<DiscardStagedWorkflow>()
        .unwrap()
        .register_activities(LlmActivities::new(services))
        .build();
    check(&options, &contract(&AI_CONTRACT)).unwrap();
    check(&options, &contract(&DATA_CONTRACT)).unwrap_err();
}

#[tokio::test]
async fn the_data_worker_registers_what_its_queue_lists() {
    let folder = tempfile::tempdir().unwrap();
    let options = data_activities::Options::default();
    let models = Models::open(&options).unwrap();
    let metrics = data_activities::Metrics::register(&Registry::new()).unwrap();
    let services = data_activities::Services::new(&options, blobs(&folder), models, metrics);
    let options = WorkerOptions::new(DATA_CONTRACT.queue)
        .register_activities(DataActivities::new(services))
        .build();
    check(&options, &contract(&DATA_CONTRACT)).unwrap();
    check(&options, &contract(&AI_CONTRACT)).unwrap_err();
}
