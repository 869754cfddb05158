//! What every store must do, as functions over the trait and a clock that the test moves.

pub(crate) mod answers;
pub(crate) mod claims;
pub(crate) mod contention;
pub(crate) mod ledger;
pub(crate) mod sequences;
pub(crate) mod takeover;

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use effect_journal::{
    AttemptFilter, AttemptRecord, Claim, ClaimRequest, Clearance, Clock, Committed, EffectClass, EffectKey,
    Journal, Lease, OnUnknown, RequestDigest, Scope, Settlement, Spend, State,
};

/// The length of the leases of a store under test.
pub(crate) const LEASE: Duration = Duration::from_secs(45);

/// A store under test; what it needs to live is kept with it.
pub(crate) struct Store {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) _kept: Box<dyn Any + Send + Sync>,
}

/// A clock that stands until a test moves it.
pub(crate) struct ManualClock(AtomicI64);

impl ManualClock {
    pub(crate) fn at(unix_ms: i64) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(unix_ms)))
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.0
            .fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub(crate) fn set_back(&self, by: Duration) {
        self.0
            .fetch_sub(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn unix_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Makes every behaviour a test of the store that the given function opens.
macro_rules! every_behaviour {
    ($open:path) => {
        crate::behaviour::every_behaviour! { $open =>
            claims: a_first_claim_is_granted, a_live_lease_makes_others_wait, renewal_extends_the_lease_from_now,
                another_request_under_the_same_key_is_refused, a_clock_set_back_does_not_prolong_a_dead_lease,
                a_lease_of_another_journal_is_refused;
            answers: a_committed_answer_is_replayed, settling_again_changes_nothing,
                a_refusal_that_is_not_billed_frees_the_key, what_was_never_sent_has_no_outcome,
                what_was_sent_is_not_sent_again, an_ended_attempt_cannot_be_renewed_or_sent,
                a_settled_attempt_stays_settled, an_empty_answer_is_an_answer;
            takeover: an_unsent_attempt_that_died_is_released, a_sent_attempt_that_died_is_unknown_and_repeated,
                park_and_fail_grant_nothing_after_an_unknown_outcome,
                a_broken_connection_is_unknown_before_the_lease_ends, a_fenced_holder_cannot_renew_or_send,
                a_late_answer_is_the_result_if_nothing_newer_was_sent,
                a_late_answer_counts_as_spend_if_a_newer_request_is_under_way,
                a_late_answer_is_kept_for_when_the_newer_request_fails, a_late_refusal_clears_the_unknown_outcome,
                an_expired_lease_that_nobody_took_is_still_held, a_holder_back_from_a_stall_can_commit;
            ledger: an_attempt_is_listed_with_all_its_facts, attempts_are_paged_in_order,
                attempts_are_filtered_by_scope_and_state, totals_add_up_by_standing,
                an_expired_lease_reads_as_its_outcome, a_free_effect_costs_nothing,
                pruning_deletes_old_responses_and_no_spend, a_writable_store_passes_the_check;
            contention: one_of_many_claims_is_granted, one_of_many_takeovers_is_granted,
                many_keys_are_worked_on_at_once;
            sequences: any_sequence_agrees_with_the_model;
        }
    };
    ($open:path => $($module:ident: $($behaviour:ident),+;)+) => {
        $(mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $behaviour() {
                    crate::behaviour::$module::$behaviour($open().await).await;
                }
            )+
        })+
    };
}
pub(crate) use every_behaviour;

pub(crate) fn key(step: &str) -> EffectKey {
    EffectKey::new("default", "workflow", "run", step).unwrap()
}

pub(crate) fn cost(cost_micros: i64) -> Spend {
    Spend {
        input_tokens: 100,
        cached_input_tokens: 40,
        output_tokens: 20,
        reasoning_tokens: 5,
        cost_micros,
    }
}

pub(crate) fn request(key: &EffectKey) -> ClaimRequest {
    ClaimRequest {
        key: key.clone(),
        digest: RequestDigest::of(b"request"),
        owner: "worker-1".into(),
        class: EffectClass::Paid,
        on_unknown: OnUnknown::Repeat,
        model: "model".into(),
        provider: "provider".into(),
        upper_bound: cost(1000),
    }
}

pub(crate) fn answer(response: &str, cost_micros: i64) -> Settlement {
    Settlement {
        response: response.into(),
        spend: cost(cost_micros),
    }
}

pub(crate) fn committed(fence: u32, response: &str, cost_micros: i64) -> Committed {
    Committed {
        fence,
        response: response.into(),
        spend: cost(cost_micros),
    }
}

impl Store {
    pub(crate) async fn claim(&self, key: &EffectKey) -> Claim {
        self.journal.claim(request(key)).await.unwrap()
    }

    pub(crate) async fn granted(&self, key: &EffectKey) -> Lease {
        match self.claim(key).await {
            Claim::Granted(lease) => lease,
            other @ (Claim::Replay(_)
            | Claim::Busy { .. }
            | Claim::Unknown { .. }
            | Claim::DigestMismatch { .. }) => {
                panic!("expected a grant, got {other:?}")
            }
        }
    }

    pub(crate) async fn sent(&self, key: &EffectKey) -> Lease {
        let lease = self.granted(key).await;
        assert_eq!(self.journal.mark_sent(&lease).await.unwrap(), Clearance::Call);
        lease
    }

    pub(crate) async fn records(&self, key: &EffectKey) -> Vec<AttemptRecord> {
        let filter = AttemptFilter {
            scope: Scope::key(key),
            ..AttemptFilter::default()
        };
        self.journal.attempts(filter).await.unwrap()
    }

    pub(crate) async fn states(&self, key: &EffectKey) -> Vec<State> {
        self.records(key)
            .await
            .iter()
            .map(|record| record.state)
            .collect()
    }

    pub(crate) async fn reason(&self, lease: &Lease) -> Option<String> {
        let records = self.records(&lease.key).await;
        records
            .into_iter()
            .find(|record| record.fence == lease.fence)
            .unwrap()
            .reason
    }
}
