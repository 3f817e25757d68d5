//! Gradients summed where an optimizer wants them.

use std::cell::RefCell;

use candle_core::{Tensor, TensorId};

thread_local! {
    /// What [`collect`] sums up.
    static COLLECTION: RefCell<Option<Collection>> = const { RefCell::new(None) };
}

/// For each variable, where the gradient is summed, and whether there was one.
struct Collection(Vec<(TensorId, Tensor, bool)>);

/// Calls `f`, in which the gradients of these parameters from networks' backward passes are summed, each in its tensor, and
/// not given to candle, which would clear and add the whole row once more for each. Also returns for which there were
/// any; the sums of the others are as they were.
pub(crate) fn collect<R>(sums: Vec<(TensorId, Tensor)>, f: impl FnOnce() -> R) -> (R, Vec<bool>) {
    /// Puts back what was collected outside, on a panic too: a later backward pass would lose its gradients to it.
    struct Restore(Option<Collection>);
    impl Drop for Restore {
        fn drop(&mut self) {
            COLLECTION.set(self.0.take());
        }
    }

    let sums = sums.into_iter().map(|(id, sum)| (id, sum, false)).collect();
    let _outer = Restore(COLLECTION.replace(Some(Collection(sums))));
    let result = f();
    let Collection(sums) = COLLECTION.take().expect("set above");
    (result, sums.into_iter().map(|(.., found)| found).collect())
}

/// Where gradients of these parameters are collected, if they are, and whether to add to what is there.
pub(super) fn collected(parameters: &Tensor) -> Option<(Tensor, bool)> {
    COLLECTION.with_borrow_mut(|collection| {
        let mut sums = collection.as_mut()?.0.iter_mut();
        let (_, sum, found) = sums.find(|(id, ..)| *id == parameters.id())?;
        Some((sum.clone(), std::mem::replace(found, true)))
    })
}
