//! The namespace and its search attributes, checked before the first poll.
//!
//! A worker on a namespace that does not exist polls for ever and says nothing useful, and a workflow that
//! upserts an unknown search attribute fails its task until the execution times out. Both are found here,
//! with the command that mends them. A server that does not let a worker list attributes (Temporal Cloud
//! keeps that for operators) is not an error: the check is skipped and said so.

use std::{collections::HashMap, time::Duration};

use temporalio_client::{
    Connection,
    grpc::{OperatorService, WorkflowService},
    tonic::{Code, Request, Status},
};
use temporalio_common::protos::temporal::api::{
    enums::v1::IndexedValueType, operatorservice::v1::ListSearchAttributesRequest,
    workflowservice::v1::DescribeNamespaceRequest,
};
use tokio::time::timeout;

use crate::fields;

/// How long one question to the server may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A search attribute that the binary's workflows write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SearchAttribute {
    /// The name, as workflows write it.
    pub name: &'static str,
    /// The type.
    pub kind: AttributeKind,
}

/// The type of a search attribute.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AttributeKind {
    /// An exact text.
    Keyword,
    /// Several exact texts.
    KeywordList,
    /// Full text.
    Text,
    /// A 64-bit integer.
    Int,
    /// A floating-point number.
    Double,
    /// True or false.
    Bool,
    /// A point in time.
    Datetime,
}

impl AttributeKind {
    const fn wire(self) -> IndexedValueType {
        match self {
            Self::Keyword => IndexedValueType::Keyword,
            Self::KeywordList => IndexedValueType::KeywordList,
            Self::Text => IndexedValueType::Text,
            Self::Int => IndexedValueType::Int,
            Self::Double => IndexedValueType::Double,
            Self::Bool => IndexedValueType::Bool,
            Self::Datetime => IndexedValueType::Datetime,
        }
    }
}

/// Why a namespace cannot be worked in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The namespace does not exist.
    #[error("the namespace `{namespace}` does not exist: create it, or set TEMPORAL_NAMESPACE")]
    Missing {
        /// The namespace.
        namespace: String,
    },
    /// The namespace could not be described.
    #[error("the namespace `{namespace}` cannot be described: {reason}")]
    Unreadable {
        /// The namespace.
        namespace: String,
        /// What the server said, or that it said nothing.
        reason: String,
    },
    /// Search attributes are not registered, or have another type.
    #[error("search attributes are missing in the namespace `{namespace}`: {}; run `{setup}`", names.join(", "))]
    Attributes {
        /// The namespace.
        namespace: String,
        /// The attributes, each with what is wrong.
        names: Vec<String>,
        /// The command that registers them.
        setup: &'static str,
    },
}

/// Describes the namespace; cheap enough for a readiness probe.
///
/// # Errors
///
/// Returns [`Error::Missing`] or [`Error::Unreadable`].
pub async fn describe(connection: &Connection, namespace: &str) -> Result<(), Error> {
    let mut service = connection.workflow_service();
    let request = DescribeNamespaceRequest {
        namespace: namespace.to_owned(),
        ..Default::default()
    };
    let unreadable = |reason: String| Error::Unreadable {
        namespace: namespace.to_owned(),
        reason,
    };
    match timeout(
        PATIENCE,
        WorkflowService::describe_namespace(&mut *service, Request::new(request)),
    )
    .await
    {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(status)) if status.code() == Code::NotFound => Err(Error::Missing {
            namespace: namespace.to_owned(),
        }),
        Ok(Err(status)) if is_denial(&status) => Err(unreadable(format!(
            "{} ({:?}); check that the API key or the client certificate may use this namespace",
            status.message().trim_end_matches('.'),
            status.code()
        ))),
        Ok(Err(status)) => Err(unreadable(format!("{}: {}", status.code(), status.message()))),
        Err(_) => Err(unreadable(format!("no answer within {PATIENCE:?}"))),
    }
}

/// Checks that every attribute is registered with its type.
///
/// # Errors
///
/// Returns [`Error::Attributes`] with all that are missing, or [`Error::Unreadable`].
pub async fn check_attributes(
    connection: &Connection,
    namespace: &str,
    required: &[SearchAttribute],
    setup: &'static str,
) -> Result<(), Error> {
    if required.is_empty() {
        return Ok(());
    }
    let mut service = connection.operator_service();
    let request = ListSearchAttributesRequest {
        namespace: namespace.to_owned(),
    };
    let unreadable = |reason: String| Error::Unreadable {
        namespace: namespace.to_owned(),
        reason,
    };
    let answer = timeout(
        PATIENCE,
        OperatorService::list_search_attributes(&mut *service, Request::new(request)),
    )
    .await
    .map_err(|_| unreadable(format!("no answer within {PATIENCE:?}")))?;
    let listed = match answer {
        Ok(response) => response.into_inner().custom_attributes,
        Err(status) if not_for_workers(&status) => {
            tracing::warn!(
                { fields::NAMESPACE } = namespace,
                "this server does not let a worker list search attributes; they were not checked"
            );
            return Ok(());
        }
        Err(status) => return Err(unreadable(format!("{}: {}", status.code(), status.message()))),
    };
    let names = differences(required, &listed);
    if names.is_empty() {
        Ok(())
    } else {
        Err(Error::Attributes {
            namespace: namespace.to_owned(),
            names,
            setup,
        })
    }
}

fn is_denial(status: &Status) -> bool {
    matches!(status.code(), Code::PermissionDenied | Code::Unauthenticated)
}

fn not_for_workers(status: &Status) -> bool {
    matches!(status.code(), Code::PermissionDenied | Code::Unimplemented)
}

fn differences(required: &[SearchAttribute], listed: &HashMap<String, i32>) -> Vec<String> {
    required
        .iter()
        .filter_map(|attribute| match listed.get(attribute.name) {
            Some(kind) if *kind == attribute.kind.wire() as i32 => None,
            Some(_) => Some(format!(
                "{} (has another type than {:?})",
                attribute.name, attribute.kind
            )),
            None => Some(format!("{} ({:?})", attribute.name, attribute.kind)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use temporalio_common::protos::temporal::api::enums::v1::IndexedValueType;

    use super::{AttributeKind, SearchAttribute, differences};

    #[test]
    fn a_missing_attribute_and_one_of_another_type_are_named() {
        let required = [
            SearchAttribute {
                name: "AiPipeline",
                kind: AttributeKind::Keyword,
            },
            SearchAttribute {
                name: "AiSpendMicros",
                kind: AttributeKind::Int,
            },
            SearchAttribute {
                name: "AiModel",
                kind: AttributeKind::Keyword,
            },
        ];
        let listed = HashMap::from([
            ("AiPipeline".to_owned(), IndexedValueType::Keyword as i32),
            ("AiSpendMicros".to_owned(), IndexedValueType::Keyword as i32),
        ]);
        let found = differences(&required, &listed);
        assert_eq!(
            found,
            ["AiSpendMicros (has another type than Int)", "AiModel (Keyword)"]
        );
        assert!(differences(&required[..1], &listed).is_empty());
    }
}
