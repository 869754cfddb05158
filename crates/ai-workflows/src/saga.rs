//! What has to be undone when a run ends badly.
//!
//! A step that leaves something behind registers its undoing *before* it runs, since a step that failed half-way left
//! something too. Undoing runs in reverse order, on a detached token: on the run's own it would be cancelled together
//! with the run, which is when it is needed most. It never hides the failure that made it necessary.

use futures::future::LocalBoxFuture;

use crate::failures::StepError;

/// An undoing, by name.
struct Compensation {
    name: &'static str,
    undo: LocalBoxFuture<'static, Result<(), StepError>>,
}

/// The undoings registered so far.
#[derive(Default)]
pub(crate) struct Saga {
    compensations: Vec<Compensation>,
}

impl Saga {
    /// Registers how to undo the step that comes next.
    ///
    /// The future must call its activities on a detached token.
    pub(crate) fn register(
        &mut self,
        name: &'static str,
        undo: impl Future<Output = Result<(), StepError>> + 'static,
    ) {
        self.compensations.push(Compensation {
            name,
            undo: Box::pin(undo),
        });
    }

    /// Tells whether anything has to be undone.
    pub(crate) fn is_empty(&self) -> bool {
        self.compensations.is_empty()
    }

    /// Undoes everything, the last step first, and gives the names of what could not be undone.
    pub(crate) async fn compensate(self) -> Vec<&'static str> {
        let mut left = Vec::new();
        for compensation in self.compensations.into_iter().rev() {
            if compensation.undo.await.is_err() {
                left.push(compensation.name);
            }
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use futures::executor::block_on;

    use super::*;

    #[test]
    fn steps_are_undone_in_reverse_and_a_failure_stops_nothing() {
        let done = Rc::new(RefCell::new(Vec::new()));
        let mut saga = Saga::default();
        for name in ["first", "second", "third"] {
            let done = Rc::clone(&done);
            saga.register(name, async move {
                done.borrow_mut().push(name);
                if name == "second" {
                    Err(StepError::Cancelled)
                } else {
                    Ok(())
                }
            });
        }
        assert_eq!(block_on(saga.compensate()), ["second"]);
        assert_eq!(*done.borrow(), ["third", "second", "first"]);
    }
}
