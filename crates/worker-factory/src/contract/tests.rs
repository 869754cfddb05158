//! The check against a real registration, so that the SDK's output is pinned.

// The SDK's macros expand to items without documentation and with paths of their own.
#![expect(
    unreachable_pub,
    clippy::unused_async,
    dead_code,
    reason = "expanded by the SDK's macros"
)]

use temporalio_macros::{activities, workflow, workflow_methods};
use temporalio_sdk::{
    WorkerOptions, WorkflowContext, WorkflowResult,
    activities::{ActivityContext, ActivityError},
};

use super::{Contract, Error, check, names};

#[workflow]
#[derive(Default)]
pub struct Greeting;

#[workflow_methods]
impl Greeting {
    #[run(name = "GreetingWorkflow")]
    pub async fn run(_ctx: &mut WorkflowContext<Self>) -> WorkflowResult<u32> {
        Ok(1)
    }
}

pub struct Acts;

#[activities]
impl Acts {
    #[activity(name = "greet")]
    pub async fn greet(_ctx: ActivityContext, name: String) -> Result<String, ActivityError> {
        Ok(name)
    }

    #[activity(name = "part")]
    pub async fn part(_ctx: ActivityContext, name: String) -> Result<String, ActivityError> {
        Ok(name)
    }
}

fn registered() -> WorkerOptions {
    WorkerOptions::new("queue")
        .register_workflow::<Greeting>()
        .unwrap()
        .register_activities(Acts)
        .build()
}

#[test]
fn a_worker_that_registers_what_is_listed_passes() {
    let contract = Contract {
        workflows: &["GreetingWorkflow"],
        activities: &["part", "greet"],
    };
    check(&registered(), &contract).unwrap();
    check(&WorkerOptions::new("queue").build(), &Contract::default()).unwrap();
}

#[test]
fn every_missing_and_every_unexpected_name_is_listed() {
    let contract = Contract {
        workflows: &["OtherWorkflow"],
        activities: &["greet", "wave"],
    };
    let error = check(&registered(), &contract).unwrap_err();
    let Error::Differs { queue, differences } = error else {
        panic!("{error}")
    };
    assert_eq!(queue, "queue");
    assert_eq!(
        differences,
        [
            "the workflow `OtherWorkflow` is listed and not registered",
            "the workflow `GreetingWorkflow` is registered and not listed",
            "the activity `wave` is listed and not registered",
            "the activity `part` is registered and not listed",
        ]
    );
}

#[test]
fn a_text_of_another_shape_is_an_error_and_not_an_empty_list() {
    for text in [
        "",
        "Definitions { activities: 3 }",
        "Definitions { activities: [3] }",
        "activities: [",
    ] {
        assert!(names("activities", text).is_err(), "{text}");
    }
    assert!(
        names("activities", "Definitions { activities: [] }")
            .unwrap()
            .is_empty()
    );
}
