//! Serves the queue `data-processing`: documents and stores.
//!
//! A composition and nothing else, like the ai-worker's; it links no inference engine, because cutting text for a model
//! needs its tokenizer and its window only.

mod options;

use std::process::ExitCode;

use blob_store::BlobStore;
use data_activities::{DataActivities, Metrics, Models, Services};
use options::DataWorkerOptions;
use worker_factory::{BoxError, Contract, Host, Invocation, Service};
use workflow_types::names::{DATA_CONTRACT, DATA_QUEUE};

const SERVICE: Service = Service {
    name: "data-worker",
    version: env!("CARGO_PKG_VERSION"),
    about: "Serves the queue data-processing: documents and stores.",
    env_prefix: "DATA_WORKER",
    task_queue: DATA_QUEUE,
    contract: Contract {
        workflows: DATA_CONTRACT.workflows,
        activities: DATA_CONTRACT.activities,
    },
    search_attributes: &[],
    start_command: "pipelinectl dev",
    setup_command: "pipelinectl setup",
};

fn main() -> ExitCode {
    let invocation = Invocation::new(std::env::args_os(), std::env::vars_os());
    worker_factory::main(SERVICE, &invocation, |options, host| async move {
        compose(&options, host)
    })
}

fn compose(options: &DataWorkerOptions, mut host: Host) -> Result<Host, BoxError> {
    let blobs = BlobStore::open(&options.blob_store)?;
    let models = Models::open(&options.documents)?;
    let metrics = Metrics::register(&host.metrics)?;
    let services = Services::new(&options.documents, blobs.clone(), models, metrics);
    host.worker.register_activities(DataActivities::new(services));
    host.check("blob store writable", move || {
        let blobs = blobs.clone();
        async move { blobs.check().await }
    });
    Ok(host)
}
