//! Stopping a cell without losing its variables.
//!
//! The notebooks' kernel answers the Stop button by creating a file, whose path is in the environment of the process
//! that runs the cells. Everything in this crate that takes longer than a second calls [`check`] between two steps, and
//! returns its error: the cell ends, and all variables of earlier cells stay as they are. Under stock evcxr, and in a
//! program, there is no such path, and a check costs a nanosecond.

use std::cell::Cell;
use std::env;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, Instant};

use crate::display;
use crate::{Error, Result};

/// The environment variable that names the file.
const FLAG: &str = "DIGIT_GAN_INTERRUPT";
/// The file is looked for no more often than this: a check in between repeats the answer.
const INTERVAL: Duration = Duration::from_millis(5);
/// How often the kernel is notified that the running code can be stopped.
const NOTICE: Duration = Duration::from_secs(1);

/// Returns an error if the user has asked the running cell to stop. For loops of your own: call it once a step.
///
/// ```
/// for step in 0..1000 {
///     digit_gan::interrupt::check()?;
///     // one step of the work
/// #   let _ = step;
/// }
/// # Ok::<(), digit_gan::Error>(())
/// ```
///
/// # Errors
/// [`Error::Interrupted`], until the kernel hands over the next cell.
pub fn check() -> Result<()> {
    static FLAG_FILE: OnceLock<Option<Flag>> = OnceLock::new();
    let flag = FLAG_FILE.get_or_init(|| Some(Flag::new(PathBuf::from(env::var_os(FLAG)?))));
    match flag {
        Some(flag) if !DEFERRED.get() && flag.is_set() => Err(Error::Interrupted),
        _ => Ok(()),
    }
}

/// Does work that must not be left half done: every [`check`] within it, on this thread, succeeds.
pub(crate) fn defer<T>(work: impl FnOnce() -> T) -> T {
    let _restored = Restore(DEFERRED.replace(true));
    work()
}

thread_local! {
    static DEFERRED: Cell<bool> = const { Cell::new(false) };
}

/// Also after a panic.
struct Restore(bool);

impl Drop for Restore {
    fn drop(&mut self) {
        DEFERRED.set(self.0);
    }
}

/// Time since the first check.
fn now() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

/// The file, and what was last seen of it.
struct Flag {
    path: PathBuf,
    set: AtomicBool,
    /// Milliseconds since the first check, each of the next time that something is due.
    next_look: AtomicU64,
    next_notice: AtomicU64,
}

impl Flag {
    fn new(path: PathBuf) -> Self {
        Flag {
            path,
            set: AtomicBool::new(false),
            next_look: AtomicU64::new(0),
            next_notice: AtomicU64::new(0),
        }
    }

    fn is_set(&self) -> bool {
        if due(&self.next_look, INTERVAL) {
            let set = exists(&self.path);
            let news = !self.set.swap(set, Relaxed) && set;
            if due(&self.next_notice, NOTICE) || news {
                display::announce_listening();
            }
        }
        self.set.load(Relaxed)
    }
}

/// Whether the time has come; the next one is then this much later.
fn due(next: &AtomicU64, interval: Duration) -> bool {
    let now = now();
    let due = now.as_millis() as u64 >= next.load(Relaxed);
    if due {
        next.store((now + interval).as_millis() as u64, Relaxed);
    }
    due
}

/// A file that cannot be looked for has not been created.
fn exists(path: &Path) -> bool {
    path.try_exists().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_flag_is_seen_and_its_removal_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let flag = Flag::new(folder.path().join("stop"));
        assert!(!flag.is_set());
        std::fs::write(&flag.path, "").unwrap();
        thread::sleep(2 * INTERVAL);
        assert!(flag.is_set());
        std::fs::remove_file(&flag.path).unwrap();
        thread::sleep(2 * INTERVAL);
        assert!(!flag.is_set());
    }

    #[test]
    fn between_two_looks_the_answer_is_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let flag = Flag::new(folder.path().join("stop"));
        std::fs::write(&flag.path, "").unwrap();
        assert!(flag.is_set());
        flag.next_look.store(u64::MAX, Relaxed);
        std::fs::remove_file(&flag.path).unwrap();
        assert!(flag.is_set());
    }

    #[test]
    fn a_panic_ends_the_deferral() {
        let panicked = thread::spawn(|| {
            let _ = std::panic::catch_unwind(|| defer(|| panic!("within")));
            DEFERRED.get()
        });
        assert!(!panicked.join().unwrap());
        let still = defer(|| {
            defer(|| ());
            DEFERRED.get()
        });
        assert!(still, "the inner deferral does not end the outer one");
    }
}
