//! Memory that is used again: large vectors fresh from the system cost a page fault for every 4 KiB.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};

/// Vectors that wait to be used again. A clone is a handle on the same ones.
#[derive(Clone, Default)]
pub(super) struct Pool(Arc<Mutex<Vec<Vec<f32>>>>);

/// A vector that goes back to its pool when it is no longer needed.
pub(super) struct Buffer {
    values: Vec<f32>,
    home: Pool,
}

/// More than a forward and a backward pass of the largest network here need.
const MOST_BUFFERS: usize = 128;

impl Pool {
    /// A buffer of any content.
    pub(super) fn get(&self, len: usize) -> Buffer {
        let mut waiting = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let found = waiting.iter().rposition(|buffer| buffer.len() == len);
        let values = found
            .map(|i| waiting.swap_remove(i))
            .unwrap_or_else(|| vec![0.; len]);
        Buffer {
            values,
            home: self.clone(),
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut waiting = self.home.0.lock().unwrap_or_else(|e| e.into_inner());
        if waiting.len() >= MOST_BUFFERS {
            waiting.remove(0); // the oldest: of a batch size no longer used
        }
        waiting.push(std::mem::take(&mut self.values));
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }
}
