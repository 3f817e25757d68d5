//! Reused memory: large vectors fresh from the system cost a page fault for every 4 KiB.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard};

use super::bf16::Tile;
use super::pages::prefer_large;
use crate::team::lock;

/// Vectors that wait to be reused, of values and of tiles. A clone is a handle on the same ones.
///
/// Values: together with those in use they have at most twice as many values as were lately in use at once, so that the pool
/// shrinks when batches do.
/// Tiles: no more vectors than were in use at once, each with room for the most tiles that were needed.
#[derive(Clone, Default)]
pub(crate) struct Pool {
    values: Arc<Mutex<Shelf>>,
    tiles: Arc<Mutex<Vec<Vec<Tile>>>>,
}

#[derive(Default)]
struct Shelf {
    /// The longest waiting first.
    waiting: Vec<Vec<f32>>,
    /// Values in all of them.
    kept: usize,
    /// Values in use.
    lent: usize,
    /// The most values that were in use at once; fades a little each time when none are.
    peak: usize,
}

/// A vector that goes back to its pool when it is no longer needed.
pub(crate) struct Buffer {
    values: Vec<f32>,
    home: Pool,
}

/// A buffer that several hold.
pub(crate) type Shared = Arc<Buffer>;

impl Pool {
    /// A buffer of any content.
    pub(crate) fn get(&self, len: usize) -> Buffer {
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
            values: found.unwrap_or_else(|| fresh(0., len)),
            home: self.clone(),
        }
    }

    /// Tiles of any content.
    pub(crate) fn tiles(&self, len: usize) -> Tiles {
        let taken = {
            let mut waiting = lock(&self.tiles);
            // The smallest that is large enough, or else the largest gives way to a new one.
            let best = |&i: &usize| (waiting[i].len() < len, waiting[i].len().abs_diff(len));
            let found = (0..waiting.len()).min_by_key(best);
            found.map(|i| waiting.swap_remove(i))
        };
        Tiles {
            tiles: taken
                .filter(|tiles| tiles.len() >= len)
                .unwrap_or_else(|| fresh(Tile::default(), len)),
            len,
            home: self.tiles.clone(),
        }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        lock(&self.values)
    }
}

fn fresh<T: Clone>(value: T, len: usize) -> Vec<T> {
    let mut values = Vec::with_capacity(len);
    prefer_large(values.spare_capacity_mut());
    values.resize(len, value);
    values
}

/// Tiles that go back to their pool when they are no longer needed.
pub(crate) struct Tiles {
    tiles: Vec<Tile>,
    len: usize,
    home: Arc<Mutex<Vec<Vec<Tile>>>>,
}

impl Drop for Tiles {
    fn drop(&mut self) {
        lock(&self.home).push(std::mem::take(&mut self.tiles));
    }
}

impl Deref for Tiles {
    type Target = [Tile];

    fn deref(&self) -> &[Tile] {
        &self.tiles[..self.len]
    }
}

impl DerefMut for Tiles {
    fn deref_mut(&mut self) -> &mut [Tile] {
        &mut self.tiles[..self.len]
    }
}

impl Shelf {
    fn put_back(&mut self, values: Vec<f32>) {
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

impl Drop for Buffer {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        self.home.shelf().put_back(values);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A pass that has several buffers at once, as a network's: where they lie.
    fn pass(pool: &Pool, len: usize) -> Vec<*const f32> {
        let buffers: Vec<Buffer> = (1..=10).map(|i| pool.get(i * len)).collect();
        buffers.iter().map(|buffer| buffer.as_ptr()).collect()
    }

    #[test]
    fn tiles_take_as_much_memory_as_was_needed_at_once() {
        let pool = Pool::default();
        for len in [3, 50, 7, 20, 50, 1] {
            let (first, second) = (pool.tiles(len), pool.tiles(2));
            assert_eq!((first.len(), second.len()), (len, 2));
        }
        let mut waiting: Vec<_> = lock(&pool.tiles).iter().map(Vec::len).collect();
        waiting.sort();
        assert_eq!(waiting, [2, 50]);
    }

    fn held(pool: &Pool) -> usize {
        let shelf = pool.shelf();
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
