//! What a binary composes its worker on.

use std::{fmt::Display, future::Future, pin::Pin};

use prometheus::Registry;
use temporalio_client::{Client, ClientOptions, Connection, errors::ClientNewError};
use temporalio_common::data_converters::DataConverter;
use temporalio_sdk::WorkerOptions;
use tokio_util::sync::CancellationToken;

use crate::health::Check;

/// The process that a binary's workflows and activities are put into.
pub struct Host {
    /// The SDK's options, tuned from the configuration; register workflows and activities here.
    pub worker: WorkerOptions,
    /// The converter of the worker's client; set it before the host is handed back.
    pub data_converter: DataConverter,
    /// The registry behind `/metrics`, for the binary's crates.
    pub metrics: Registry,
    /// The namespace.
    pub namespace: String,
    /// The worker's identity, as Temporal shows it.
    pub identity: String,
    /// Cancelled when a drain begins, before running activities are cancelled.
    pub draining: CancellationToken,
    pub(super) connection: Connection,
    pub(super) checks: Vec<Check>,
    pub(super) endings: Vec<Pin<Box<dyn Future<Output = ()>>>>,
}

impl Host {
    /// Adds something that must hold for the process to be ready; see [`Check::new`].
    pub fn check<F, R, E>(&mut self, name: &'static str, run: F) -> &mut Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Display,
    {
        self.checks.push(Check::new(name, run));
        self
    }

    /// Adds something to do after the worker has drained, such as closing a store; at most five seconds.
    pub fn at_end(&mut self, ending: impl Future<Output = ()> + 'static) -> &mut Self {
        self.endings.push(Box::pin(ending));
        self
    }

    /// Returns a client on the worker's connection, with the converter set so far.
    ///
    /// # Errors
    ///
    /// Returns the SDK's error; without plugins there is none.
    pub fn client(&self) -> Result<Client, ClientNewError> {
        let options = ClientOptions::new(self.namespace.clone())
            .data_converter(self.data_converter.clone())
            .build();
        Client::new(self.connection.clone(), options)
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Host")
            .field("task_queue", &self.worker.task_queue)
            .field("namespace", &self.namespace)
            .field("identity", &self.identity)
            .field("checks", &self.checks)
            .finish_non_exhaustive()
    }
}
