//! A disk with no room for the journal.

use std::time::Duration;

use chaos_provider::Script;
use temporal_client::outcome;
use testkit::{Rig, within};

#[tokio::test]
async fn without_room_for_the_journal_nothing_is_called_until_there_is_room_again() {
    let rig = Rig::start(Script::default()).await.unwrap();
    let mut worker = rig.ai_worker().await.unwrap();
    rig.ask("before").await.unwrap().result().await.unwrap();

    worker.fill_disk(true).unwrap();
    let run = rig.ask("during").await.unwrap();
    within(
        Duration::from_secs(20),
        "the activity fails for want of its journal",
        async || {
            let described = rig.client.describe("during", None).await?;
            let failed = described
                .pending_activities
                .iter()
                .filter_map(|activity| activity.last_failure.as_ref());
            Ok(failed
                .filter(|failure| failure.code.as_deref() == Some("Storage"))
                .count()
                == 1)
        },
    )
    .await
    .unwrap();
    within(
        Duration::from_secs(10),
        "the worker is not ready and says why",
        async || {
            Ok(worker
                .readiness()
                .await
                .is_some_and(|(status, body)| status == 503 && body.contains("journal writable")))
        },
    )
    .await
    .unwrap();
    assert_eq!(rig.calls().unwrap().len(), 1, "only the call before");

    worker.fill_disk(false).unwrap();
    let ended: Result<_, outcome::Error> = run.result().await;
    ended.unwrap();
    worker.until_ready().await.unwrap();
    let calls = rig.calls().unwrap();
    assert_eq!(calls.len(), 2);
    rig.audit().await.unwrap();
}
