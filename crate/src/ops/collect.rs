//! Gradients summed where an optimizer wants them.

use std::cell::RefCell;

use candle_core::{Result, Tensor, TensorId};

use super::pending::Pending;
use super::storage::write;

thread_local! {
    /// What [`collect`] sums up.
    static COLLECTION: RefCell<Option<Vec<(TensorId, Sum)>>> = const { RefCell::new(None) };
}

/// The gradient of a row of parameters.
pub(crate) struct Sum {
    pub row: Tensor,
    /// What is still to be multiplied out, in this order, and to be put into the row.
    pub pending: Vec<Pending>,
    /// Whether there is any; otherwise the row is as it was.
    pub found: bool,
}

impl Sum {
    /// Of a gradient that is in the row, or that is to be found.
    pub(crate) fn new(row: Tensor, found: bool) -> Self {
        Sum {
            row,
            pending: Vec::new(),
            found,
        }
    }

    /// The row, with all that was pending.
    pub(crate) fn whole(self) -> Result<Tensor> {
        write(&self.row, |row| {
            self.pending.iter().for_each(|pending| pending.put(row));
            Ok(())
        })?;
        Ok(self.row)
    }
}

/// Calls `f`, in which the gradients of these parameters from networks' backward passes are summed, each in its row, and
/// not given to candle, which would clear and add the whole row once more for each. Also returns the sums.
pub(crate) fn collect<R>(
    rows: impl Iterator<Item = (TensorId, Tensor)>,
    f: impl FnOnce() -> R,
) -> (R, Vec<Sum>) {
    /// Puts back what was collected outside, on a panic too: a later backward pass would lose its gradients to it.
    struct Restore(Option<Vec<(TensorId, Sum)>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            COLLECTION.set(self.0.take());
        }
    }

    let sums = rows.map(|(id, row)| (id, Sum::new(row, false))).collect();
    let _outer = Restore(COLLECTION.replace(Some(sums)));
    let result = f();
    let sums = COLLECTION.take().expect("set above");
    (result, sums.into_iter().map(|(_, sum)| sum).collect())
}

/// Calls `f` with the row in which gradients of these parameters are collected, if they are, with whether to add to what is
/// there, and with a list for what may wait.
pub(super) fn collected<R>(
    parameters: &Tensor,
    f: impl FnOnce(&Tensor, bool, Option<&mut Vec<Pending>>) -> R,
) -> Option<R> {
    COLLECTION.with_borrow_mut(|collection| {
        let mut sums = collection.as_mut()?.iter_mut();
        let (_, sum) = sums.find(|(id, _)| *id == parameters.id())?;
        let add = std::mem::replace(&mut sum.found, true);
        Some(f(&sum.row, add, Some(&mut sum.pending)))
    })
}
