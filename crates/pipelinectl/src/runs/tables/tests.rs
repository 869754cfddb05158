//! What a person reads.

use temporal_client::description::{Attributes, LastFailure};
use workflow_types::proto::{Budget, BudgetShortfall, Problem, Stage, awaiting::Reason};

use super::*;

#[test]
fn a_list_has_aligned_columns() {
    let run = |id: &str, tenant: Option<&str>| Summary {
        id: id.into(),
        run_id: "r".into(),
        workflow_type: "LlmPipelineWorkflow".into(),
        status: "running".into(),
        started: Some("2026-11-23T12:00:00.123Z".into()),
        closed: None,
        parent: None,
        attributes: Attributes {
            tenant: tenant.map(str::to_owned),
            ..Attributes::default()
        },
    };
    let text = list(&[run("a", Some("acme")), run("longer", None)]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    let column = lines[0].find("STARTED").unwrap();
    for line in &lines[1..] {
        assert!(line[column..].starts_with("2026-11-23T12:00:00Z"), "{line}");
    }
    assert_eq!(list(&[]), "no runs");
}

#[test]
fn a_status_says_only_what_there_is_to_say() {
    let mut status = LlmPipelineStatus::default();
    status.set_stage(Stage::Inference);
    let text = pipeline_status("x", &status, &Usage::default());
    assert!(text.contains("stage       inference\n"), "{text}");
    assert!(!text.contains("chunks"), "{text}");
    status.rejected_signals.push(RejectedSignal {
        signal: "cancel".into(),
        problems: vec![Problem {
            path: "reason".into(),
            message: "is too long".into(),
        }],
    });
    let text = pipeline_status("x", &status, &Usage::default());
    assert!(text.contains("signal cancel: reason: is too long"), "{text}");
}

#[test]
fn a_status_says_what_is_waited_for_and_who_raised_the_budget() {
    let status = LlmPipelineStatus {
        awaiting: Some(Awaiting {
            reason: Some(Reason::Budget(BudgetShortfall {
                account: "run:x".into(),
                max_tokens: Some(100.0),
                needed_tokens: 101.0,
                ..BudgetShortfall::default()
            })),
            since_unix_seconds: 0.0,
        }),
        budget: Some(BudgetState {
            budget: Some(Budget {
                max_tokens: Some(100.0),
                ..Budget::default()
            }),
            revision: 1,
            deadline_seconds: 60,
        }),
        raises: vec![BudgetRaise::default()],
        ..LlmPipelineStatus::default()
    };
    let text = pipeline_status("x", &status, &Usage::default());
    for words in [
        "waits for   budget since",
        "`pipelinectl budget raise x --max-tokens …`",
        "budget      100 tokens, raised once\n",
        "raised      1970",
    ] {
        assert!(text.contains(words), "{text}");
    }
    let free = LlmPipelineStatus {
        budget: Some(BudgetState::default()),
        ..LlmPipelineStatus::default()
    };
    assert!(!pipeline_status("x", &free, &Usage::default()).contains("budget"));
}

#[test]
fn counts_leave_out_what_did_not_happen() {
    let some = BatchCounts {
        completed: 3,
        failed: 1,
        ..BatchCounts::default()
    };
    assert_eq!(counts(&some), "3 completed, 1 failed");
    assert_eq!(counts(&BatchCounts::default()), "none");
}

#[test]
fn a_description_shows_why_a_run_hangs() {
    let found = Description {
        id: "x".into(),
        status: "running".into(),
        pending_activities: vec![PendingActivity {
            id: "5".into(),
            activity_type: "generateText".into(),
            state: "scheduled".into(),
            attempt: 3,
            last_failure: Some(LastFailure {
                code: Some("RateLimited".into()),
                message: "slow down".into(),
            }),
            ..PendingActivity::default()
        }],
        workflow_task_attempt: Some(2),
        ..Description::default()
    };
    let text = description(&found);
    assert!(text.contains("generateText 5: scheduled, attempt 3\n"), "{text}");
    assert!(text.contains("last failure: RateLimited: slow down"), "{text}");
    assert!(text.contains("tried for the 2. time"), "{text}");
}
