//! What goes, what stays, and what is refused.

use workflow_types::failure::FailureCode;

use super::*;
use crate::fixture::{Bench, PREFIX, scoped};

async fn discard(bench: &Bench, stage_prefix: &str, results: bool) -> Result<DiscardStagedOutput, Error> {
    let input = Wire::new(DiscardStagedInput {
        stage_prefix: stage_prefix.to_owned(),
        results,
    });
    scoped(async |scope| run(&bench.services, input, &scope).await).await
}

#[tokio::test]
async fn staged_data_goes_and_results_only_when_asked() {
    let bench = Bench::new();
    for name in [
        "staged/chunks/00000.txt",
        "staged/items/7.txt",
        "results/results.jsonl",
    ] {
        bench.stage(name, b"x").await;
    }
    assert_eq!(discard(&bench, PREFIX, false).await.unwrap().objects, 2);
    assert_eq!(bench.staged().await, ["results/results.jsonl"]);
    assert_eq!(discard(&bench, PREFIX, false).await.unwrap().objects, 0);
    assert_eq!(discard(&bench, PREFIX, true).await.unwrap().objects, 1);
    assert_eq!(bench.staged().await, Vec::<String>::new());
    assert!((bench.counted("aiw_data_discarded_objects_total") - 3.0).abs() < 0.5);
}

#[tokio::test]
async fn anything_but_a_run_s_own_prefix_is_refused() {
    let bench = Bench::new();
    bench.stage("staged/a.txt", b"x").await;
    for prefix in [
        "",
        "runs/",
        "runs/llm%2F1/",
        "runs/llm%2F1/first",
        "runs/llm%2F1/first/staged/",
        "runs/../../",
    ] {
        let error = discard(&bench, prefix, true).await.unwrap_err();
        assert_eq!(
            (error.code(), error.retryable()),
            (FailureCode::InvalidInput, false),
            "{prefix}"
        );
    }
    assert_eq!(bench.staged().await, ["staged/a.txt"]);
}
