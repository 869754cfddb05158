//! What every store must do, as functions over the trait and a clock that the test moves.

pub(crate) mod answers;
pub(crate) mod budgets;
pub(crate) mod claims;
pub(crate) mod contention;
pub(crate) mod hand;
pub(crate) mod ledger;
pub(crate) mod limits;
pub(crate) mod reports;
pub(crate) mod sequences;
pub(crate) mod takeover;

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use effect_journal::{
    AttemptFilter, AttemptRecord, Claim, ClaimRequest, Clearance, Clock, Committed, EffectClass, EffectKey,
    Error, Feedback, Journal, Lease, OnUnknown, RequestDigest, Scope, Settled, Settlement, Spend, State,
};

/// The length of the leases of a store under test.
pub(crate) const LEASE: Duration = Duration::from_secs(45);

/// A store under test; what it needs to live is kept with it.
pub(crate) struct Store {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) clock: Arc<ManualClock>,
    open: Open,
    _kept: Box<dyn Any + Send + Sync>,
}

/// Opens a store with the clock of its test: the first time, and again as a process does that comes back.
pub(crate) type Open = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Arc<dyn Journal>> + Send>> + Send + Sync>;

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

    pub(crate) fn set(&self, unix_ms: i64) {
        self.0.store(unix_ms, Ordering::SeqCst);
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
///
/// With `grouped`, the behaviours of a module are one test and share a PostgreSQL server, which takes longer to start
/// than a behaviour to show; each has a store of its own on it.
macro_rules! every_behaviour {
    ($open:path) => {
        crate::behaviour::every_behaviour! { each $open }
    };
    ($how:ident $open:path) => {
        crate::behaviour::every_behaviour! { $how $open =>
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
                many_keys_are_worked_on_at_once, a_batch_decides_in_order;
            budgets: a_call_that_does_not_fit_is_not_granted, calls_at_once_do_not_overspend,
                a_settlement_makes_room, an_unknown_outcome_keeps_its_reservation,
                a_reservation_that_died_makes_room, a_swept_reservation_cannot_be_sent, a_replay_needs_no_budget,
                a_reservation_is_made_in_all_budgets_or_none, a_raised_budget_lets_the_same_key_through,
                a_budget_of_tokens_counts_free_calls, a_tenants_day_begins_anew,
                a_late_settlement_changes_the_day_of_its_claim, a_budget_counts_what_was_used_before_it_was_set,
                a_tenants_budgets_are_listed_and_noted, a_budget_that_makes_no_sense_is_refused;
            hand: an_unknown_attempt_is_settled_by_hand, an_unknown_attempt_is_released_by_hand,
                only_an_unknown_attempt_is_settled_by_hand, an_answer_replaces_a_settlement_by_hand,
                a_settlement_by_hand_needs_an_actor, notes_are_filtered_and_paged;
            limits: calls_beyond_the_window_come_back_in_order, a_settled_call_counts_as_what_it_used,
                what_was_not_sent_does_not_count, calls_in_flight_are_limited, a_dead_call_is_not_in_flight,
                a_refusal_makes_everybody_wait, a_remainder_in_a_header_is_believed,
                a_circuit_opens_and_lets_one_probe_through, a_call_larger_than_the_limit_goes_alone,
                a_place_in_the_queue_outlives_the_store, a_refused_claim_reserves_nothing,
                workers_share_a_limit_without_exceeding_it;
            reports: sums_are_grouped_by_every_dimension, sums_are_filtered, attempts_are_filtered_by_what_they_are;
            sequences: any_sequence_agrees_with_the_model;
        }
    };
    (grouped $open:path => $($module:ident: $($behaviour:ident),+;)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $module() {
                let server = crate::postgres::serve();
                let mut failed = Vec::new();
                $(
                    let behaviour = crate::behaviour::$module::$behaviour($open(&server).await);
                    if tokio::spawn(behaviour).await.is_err() {
                        failed.push(stringify!($behaviour));
                    }
                )+
                assert_eq!(failed, Vec::<&str>::new());
            }
        )+
    };
    (each $open:path => $($module:ident: $($behaviour:ident),+;)+) => {
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
        cache_write_input_tokens: 10,
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
        tenant: None,
        price_table: "2026-11".into(),
        accounts: Vec::new(),
        limits: None,
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
    /// Opens a store for a test; what is kept lives as long as it.
    pub(crate) async fn opened(
        clock: Arc<ManualClock>,
        kept: Box<dyn Any + Send + Sync>,
        open: impl Fn() -> Pin<Box<dyn Future<Output = Arc<dyn Journal>> + Send>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            journal: open().await,
            clock,
            open: Box::new(open),
            _kept: kept,
        }
    }

    /// Opens what the store left behind, as another process would.
    pub(crate) async fn again(&self) -> Arc<dyn Journal> {
        (self.open)().await
    }

    pub(crate) async fn settle(&self, lease: &Lease, settlement: Settlement) -> Result<Settled, Error> {
        self.journal.settle(lease, settlement, Feedback::default()).await
    }

    pub(crate) async fn release(&self, lease: &Lease, reason: &str) -> Result<(), Error> {
        self.journal.release(lease, reason, Feedback::default()).await
    }

    pub(crate) async fn mark_unknown(&self, lease: &Lease, reason: &str) -> Result<(), Error> {
        self.journal
            .mark_unknown(lease, reason, Feedback::default())
            .await
    }

    pub(crate) async fn claim(&self, key: &EffectKey) -> Claim {
        self.journal.claim(request(key)).await.unwrap()
    }

    pub(crate) async fn granted(&self, key: &EffectKey) -> Lease {
        self.granted_for(request(key)).await
    }

    pub(crate) async fn granted_for(&self, request: ClaimRequest) -> Lease {
        let claim = self.journal.claim(request).await.unwrap();
        let Claim::Granted(lease) = claim else {
            panic!("expected a grant, got {claim:?}")
        };
        lease
    }

    pub(crate) async fn sent_for(&self, request: ClaimRequest) -> Lease {
        let lease = self.granted_for(request).await;
        assert_eq!(self.journal.mark_sent(&lease).await.unwrap(), Clearance::Call);
        lease
    }

    pub(crate) async fn sent(&self, key: &EffectKey) -> Lease {
        self.sent_for(request(key)).await
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
