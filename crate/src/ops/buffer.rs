//! Reused memory: large vectors fresh from the system cost a page fault for every 4 KiB.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard};

use super::bf16::Tile;

/// Vectors that wait to be reused, of values and of tiles. A clone is a handle on the same ones.
///
/// Together with those in use they have at most twice as many values as were lately in use at once, so that the pool
/// shrinks when batches do.
#[derive(Clone, Default)]
pub(crate) struct Pool {
    values: Lender<f32>,
    tiles: Lender<Tile>,
}

#[derive(Clone, Default)]
struct Lender<T>(Arc<Mutex<Shelf<T>>>);

#[derive(Default)]
struct Shelf<T> {
    /// The longest waiting first.
    waiting: Vec<Vec<T>>,
    /// Values in all of them.
    kept: usize,
    /// Values in use.
    lent: usize,
    /// The most values that were in use at once; fades a little each time when none are.
    peak: usize,
}

/// A vector that goes back to its pool when it is no longer needed.
pub(crate) struct Buffer<T = f32> {
    values: Vec<T>,
    home: Lender<T>,
}

impl Pool {
    /// A buffer of any content.
    pub(crate) fn get(&self, len: usize) -> Buffer {
        self.values.get(len)
    }

    /// Tiles of any content.
    pub(crate) fn tiles(&self, len: usize) -> Buffer<Tile> {
        self.tiles.get(len)
    }
}

impl<T: Clone + Default> Lender<T> {
    fn get(&self, len: usize) -> Buffer<T> {
        let mut shelf = self.shelf();
        let found = shelf.waiting.iter().rposition(|values| values.len() == len);
        let found = found.map(|i| shelf.waiting.remove(i));
        if found.is_some() {
            shelf.kept -= len;
        }
        shelf.lent += len;
        shelf.peak = shelf.peak.max(shelf.lent);
        drop(shelf); // a new vector costs time
        Buffer {
            values: found.unwrap_or_else(|| vec![T::default(); len]),
            home: Lender(self.0.clone()),
        }
    }
}

impl<T> Lender<T> {
    fn shelf(&self) -> MutexGuard<'_, Shelf<T>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl<T> Shelf<T> {
    fn put_back(&mut self, values: Vec<T>) {
        self.lent -= values.len();
        self.kept += values.len();
        self.waiting.push(values);
        if self.lent == 0 {
            self.peak -= self.peak / 16;
        }
        let surplus = (self.lent + self.kept).saturating_sub(2 * self.peak);
        let mut freed = 0;
        let leave = self.waiting.iter().take_while(|values| {
            let leaves = freed < surplus;
            freed += if leaves { values.len() } else { 0 };
            leaves
        });
        let leave = leave.count();
        self.kept -= freed;
        self.waiting.drain(..leave);
    }
}

impl<T> Drop for Buffer<T> {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        self.home.shelf().put_back(values);
    }
}

impl<T> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.values
    }
}

impl<T> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pass that has several buffers at once, as a network's: where they lie.
    fn pass(pool: &Pool, len: usize) -> Vec<*const f32> {
        let buffers: Vec<Buffer> = (1..=10).map(|i| pool.get(i * len)).collect();
        buffers.iter().map(|buffer| buffer.as_ptr()).collect()
    }

    fn held(pool: &Pool) -> usize {
        let shelf = pool.values.shelf();
        assert_eq!(
            shelf.kept,
            shelf.waiting.iter().map(Vec::len).sum::<usize>()
        );
        shelf.kept + shelf.lent
    }

    #[test]
    fn passes_of_one_size_use_the_same_memory() {
        let pool = Pool::default();
        let first = pass(&pool, 100);
        for _ in 0..100 {
            assert_eq!(pass(&pool, 100), first);
        }
    }

    #[test]
    fn memory_is_bounded_by_what_passes_need_and_shrinks_with_them() {
        let pool = Pool::default();
        for len in 1..1000 {
            pass(&pool, len); // another size each time
            assert!(held(&pool) <= 2 * 55 * len, "{} at {len}", held(&pool));
        }
        for _ in 0..200 {
            pass(&pool, 1);
        }
        assert!(held(&pool) <= 2 * 55 + 32, "{}", held(&pool));
    }
}
