//! What a namespace needs before the first run: our search attributes.
//!
//! A workflow that writes an attribute which its namespace doesn't have fails its task until its execution timeout, so
//! they come first. Registering is safe to repeat: what is there stays, what has another type is an error, and the call
//! returns only when the server's front end knows the new names, which takes a moment.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use serde::Serialize;
use temporalio_client::{
    WorkflowCountOptions,
    errors::ClientError,
    grpc::OperatorService,
    tonic::{Code, Request, Status},
};
use temporalio_common::protos::temporal::api::{
    enums::v1::IndexedValueType,
    operatorservice::v1::{AddSearchAttributesRequest, ListSearchAttributesRequest},
};
use tokio::time::{Instant, sleep};
use workflow_types::names::search_attribute;

use crate::{Client, server};

const VISIBLE_WITHIN: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What registering did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Registered {
    /// Attributes that were added.
    pub added: Vec<String>,
    /// Attributes that were there.
    pub present: Vec<String>,
}

/// Why a namespace is not ready.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An attribute is there with another type, which can't be changed.
    #[error(
        "namespace {namespace} has {} with another type: remove or rename them there, or use another namespace",
        names.join(", ")
    )]
    OtherType {
        /// The namespace.
        namespace: String,
        /// The attributes.
        names: Vec<String>,
    },
    /// The server lets only its own tools do this.
    #[error(
        "the server does not let this client register search attributes: add them with its own tool: {}",
        names.join(", ")
    )]
    NotAllowed {
        /// What to add, each with its type.
        names: Vec<String>,
    },
    /// The names are registered but queries don't take them yet.
    #[error(
        "the search attributes are registered, but the server does not take them yet: try again in a minute"
    )]
    NotVisible,
    /// The server gave no usable answer.
    #[error(transparent)]
    Server(#[from] server::Error),
}

impl Client {
    /// Registers the search attributes that are missing.
    ///
    /// # Errors
    ///
    /// An attribute of another type, a server that does not allow it, or one that does not answer.
    pub async fn register_search_attributes(&self) -> Result<Registered, Error> {
        let wanted = wanted();
        let registered = compare(&wanted, &self.attributes(&wanted).await?, self.namespace())?;
        if !registered.added.is_empty() {
            self.add(&wanted, &registered.added).await?;
        }
        self.until_visible(&wanted).await?;
        Ok(registered)
    }

    async fn attributes(
        &self,
        wanted: &BTreeMap<&'static str, IndexedValueType>,
    ) -> Result<HashMap<String, i32>, Error> {
        let mut service = self.connection().operator_service();
        let request = ListSearchAttributesRequest {
            namespace: self.namespace().to_owned(),
        };
        let answer = OperatorService::list_search_attributes(&mut *service, Request::new(request))
            .await
            .map_err(|status| refused(status, wanted))?;
        Ok(answer.into_inner().custom_attributes)
    }

    async fn add(
        &self,
        wanted: &BTreeMap<&'static str, IndexedValueType>,
        names: &[String],
    ) -> Result<(), Error> {
        let mut service = self.connection().operator_service();
        let request = AddSearchAttributesRequest {
            namespace: self.namespace().to_owned(),
            search_attributes: wanted
                .iter()
                .filter(|(name, _)| names.iter().any(|missing| missing == *name))
                .map(|(name, kind)| ((*name).to_owned(), (*kind).into()))
                .collect(),
        };
        match OperatorService::add_search_attributes(&mut *service, Request::new(request)).await {
            Ok(_) => Ok(()),
            // Somebody else did it at the same time.
            Err(status) if status.code() == Code::AlreadyExists => Ok(()),
            Err(status) => Err(refused(status, wanted)),
        }
    }

    async fn until_visible(&self, wanted: &BTreeMap<&'static str, IndexedValueType>) -> Result<(), Error> {
        let began = Instant::now();
        let query = probe(wanted);
        loop {
            match self
                .sdk()
                .count_workflows(query.clone(), WorkflowCountOptions::default())
                .await
            {
                Ok(_) => return Ok(()),
                Err(ClientError::Rpc(status)) if status.code() == Code::InvalidArgument => {}
                Err(ClientError::Rpc(status)) => return Err(server::Error::from(status).into()),
                Err(other) => return Err(server::Error::Other(Box::new(other)).into()),
            }
            if began.elapsed() > VISIBLE_WITHIN {
                return Err(Error::NotVisible);
            }
            sleep(LOOK_AGAIN).await;
        }
    }
}

fn wanted() -> BTreeMap<&'static str, IndexedValueType> {
    let keywords = search_attribute::KEYWORDS.map(|name| (name, IndexedValueType::Keyword));
    let ints = search_attribute::INTS.map(|name| (name, IndexedValueType::Int));
    keywords.into_iter().chain(ints).collect()
}

/// A query that names every attribute, which the server refuses as long as it does not know one of them.
fn probe(wanted: &BTreeMap<&'static str, IndexedValueType>) -> String {
    let parts: Vec<String> = wanted.keys().map(|name| format!("{name} IS NULL")).collect();
    parts.join(" AND ")
}

fn compare(
    wanted: &BTreeMap<&'static str, IndexedValueType>,
    listed: &HashMap<String, i32>,
    namespace: &str,
) -> Result<Registered, Error> {
    let mut registered = Registered::default();
    let mut others = Vec::new();
    for (name, kind) in wanted {
        match listed.get(*name) {
            None => registered.added.push((*name).to_owned()),
            Some(found) if *found == i32::from(*kind) => registered.present.push((*name).to_owned()),
            Some(_) => others.push((*name).to_owned()),
        }
    }
    if others.is_empty() {
        return Ok(registered);
    }
    Err(Error::OtherType {
        namespace: namespace.to_owned(),
        names: others,
    })
}

fn refused(status: Status, wanted: &BTreeMap<&'static str, IndexedValueType>) -> Error {
    if matches!(status.code(), Code::PermissionDenied | Code::Unimplemented) {
        return Error::NotAllowed {
            names: wanted
                .iter()
                .map(|(name, kind)| format!("{name} ({kind:?})"))
                .collect(),
        };
    }
    server::Error::from(status).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_added_and_what_is_there_stays() {
        let listed = HashMap::from([("AiModel".to_owned(), IndexedValueType::Keyword.into())]);
        let registered = compare(&wanted(), &listed, "default").unwrap();
        assert_eq!(registered.present, ["AiModel"]);
        assert_eq!(
            registered.added,
            ["AiAwaiting", "AiPipeline", "AiSpendMicros", "AiStage", "AiTenant"]
        );
    }

    #[test]
    fn another_type_is_an_error_that_names_it() {
        let listed = HashMap::from([("AiSpendMicros".to_owned(), IndexedValueType::Keyword.into())]);
        let error = compare(&wanted(), &listed, "default").unwrap_err();
        assert!(error.to_string().contains("AiSpendMicros"), "{error}");
    }
}
