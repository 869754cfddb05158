//! A bounded fan-out that keeps its order.
//!
//! A fixed number of lanes take the next item as soon as they are free. The SDK's `join_all` drives them, so which lane
//! takes which item follows from history alone; a set of futures polled as they wake would not.

use std::{
    cell::{Cell, RefCell},
    future::Future,
};

use temporalio_workflow::join_all;

/// Runs `work` for every index below `count`, at most `width` at once, and gives the results in order.
pub(crate) async fn run<T, F, Fut>(count: usize, width: usize, work: F) -> Vec<T>
where
    F: Fn(usize) -> Fut,
    Fut: Future<Output = T>,
{
    let next = Cell::new(0);
    let results: RefCell<Vec<Option<T>>> = RefCell::new((0..count).map(|_| None).collect());
    let lane = || async {
        while next.get() < count {
            let index = next.replace(next.get() + 1);
            let result = work(index).await;
            if let Some(slot) = results.borrow_mut().get_mut(index) {
                *slot = Some(result);
            }
        }
    };
    join_all((0..width.min(count)).map(|_| lane())).await;
    results.into_inner().into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use futures::{channel::oneshot, executor::LocalPool, future::join};

    use super::*;

    #[test]
    fn results_are_in_order_whatever_ends_first() {
        let mut pool = LocalPool::new();
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| oneshot::channel::<usize>()).unzip();
        let receivers = RefCell::new(receivers.into_iter().map(Some).collect::<Vec<_>>());
        let take = |index: usize| {
            receivers.borrow_mut()[index]
                .take()
                .expect("each index is asked for once")
        };
        let work = run(3, 3, |index| {
            let answer = take(index);
            async move { answer.await.expect("the sender lives") }
        });
        let answers = async move {
            for (value, sender) in senders.into_iter().enumerate().rev() {
                sender.send(value * 10).expect("the receiver lives");
            }
        };
        assert_eq!(pool.run_until(join(work, answers)).0, [0, 10, 20]);
    }

    #[test]
    fn no_more_than_the_width_run_at_once() {
        let running = Cell::new(0_usize);
        let most = Cell::new(0_usize);
        let results = LocalPool::new().run_until(run(20, 3, |index| {
            let (running, most) = (&running, &most);
            async move {
                running.set(running.get() + 1);
                most.set(most.get().max(running.get()));
                let mut yielded = false;
                futures::future::poll_fn(|context| {
                    if std::mem::replace(&mut yielded, true) {
                        return std::task::Poll::Ready(());
                    }
                    context.waker().wake_by_ref();
                    std::task::Poll::Pending
                })
                .await;
                running.set(running.get() - 1);
                index
            }
        }));
        assert_eq!(results, (0..20).collect::<Vec<_>>());
        assert_eq!(most.get(), 3);
    }
}
