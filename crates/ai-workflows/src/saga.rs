//! What has to be undone when a run ends badly.
//!
//! A step that leaves something behind registers its undoing *before* it runs, since a step that failed half-way left
//! something too. Undoing runs in reverse order, on a detached token: on the run's own it would be cancelled together
//! with the run, which is when it is needed most. It never hides the failure that made it necessary: an undoing has no
//! result, and reports by itself what it could not undo.

use futures::future::LocalBoxFuture;

/// The undoings registered so far.
#[derive(Default)]
pub(crate) struct Saga {
    compensations: Vec<LocalBoxFuture<'static, ()>>,
}

impl Saga {
    /// Registers how to undo the step that comes next.
    ///
    /// The future must call its activities on a detached token.
    pub(crate) fn register(&mut self, undo: impl Future<Output = ()> + 'static) {
        self.compensations.push(Box::pin(undo));
    }

    /// Undoes everything, the last step first.
    pub(crate) async fn compensate(self) {
        for undo in self.compensations.into_iter().rev() {
            undo.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use futures::executor::block_on;

    use super::*;

    #[test]
    fn steps_are_undone_in_reverse() {
        let done = Rc::new(RefCell::new(Vec::new()));
        let mut saga = Saga::default();
        for name in ["first", "second", "third"] {
            let done = Rc::clone(&done);
            saga.register(async move { done.borrow_mut().push(name) });
        }
        assert_eq!(*done.borrow(), [""; 0], "nothing is undone before it has to be");
        block_on(saga.compensate());
        assert_eq!(*done.borrow(), ["third", "second", "first"]);
    }
}
