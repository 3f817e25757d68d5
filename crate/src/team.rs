//! Threads for the many short parallel loops of a training step.
//!
//! A step has a hundred loops of some microseconds each. Rayon's threads fall asleep between them, and to wake one
//! takes the system longer than a loop: a third of a step of the dense GAN at batch 64 went into waiting. Here the
//! thread that begins a loop works in it, and the others, which stay awake for a moment after each, join in.

use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a thread stays awake without work: longer than what lies between two loops of a step.
const PATIENCE: Duration = Duration::from_millis(1);
/// Of a loop's items for each thread.
const SHARES: usize = 8;
/// Looks at the gate before the core is offered to others.
const SPINS: usize = 1000;

/// Threads that may work in a loop.
pub(crate) fn threads() -> usize {
    rayon::current_num_threads()
}

/// Calls `f` with each of the items, on all threads. Inside of such a loop, and while another thread is in one, on this
/// thread alone.
pub(crate) fn for_each<T>(items: impl ExactSizeIterator<Item = T> + Send, f: impl Fn(T) + Sync) {
    let (threads, count) = (threads(), items.len());
    if threads == 1 || count == 1 {
        return items.for_each(f);
    }
    // Enough shares for an even end, few enough that nobody waits for the lock.
    let share = (count / (SHARES * threads)).max(1);
    let items = Mutex::new(items);
    let next = || lock(&items).by_ref().take(share).collect::<Vec<T>>();
    together(&|| {
        loop {
            let items = next();
            if items.is_empty() {
                return;
            }
            items.into_iter().for_each(&f);
        }
    });
}

/// Calls `work` on this thread and on all others of the team that are free before it ends.
fn together(work: &(dyn Fn() + Sync)) {
    let panic = Mutex::new(None);
    let work = || {
        if let Err(panicked) = catch_unwind(AssertUnwindSafe(work)) {
            *lock(&panic) = Some(panicked);
        }
    };
    let open = team().open(&work);
    work();
    drop(open);
    let panic = lock(&panic).take();
    if let Some(panic) = panic {
        resume_unwind(panic);
    }
}

type Work = &'static (dyn Fn() + Sync);

struct Team {
    /// Whether there is a loop.
    taken: AtomicBool,
    /// The number of the loop, times [`ROUND`]; whether one may still join in; and how many have and are not done.
    gate: AtomicU64,
    work: Mutex<Option<Work>>,
    asleep: AtomicUsize,
    bed: Mutex<()>,
    bell: Condvar,
}

const ROUND: u64 = 1 << 32;
const CLOSED: u64 = 1 << 31;

/// The threads begin with the first loop, and end with the program.
fn team() -> &'static Team {
    static TEAM: Team = Team {
        taken: AtomicBool::new(false),
        gate: AtomicU64::new(CLOSED),
        work: Mutex::new(None),
        asleep: AtomicUsize::new(0),
        bed: Mutex::new(()),
        bell: Condvar::new(),
    };
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        for i in 1..threads() {
            let thread = thread::Builder::new().name(format!("digit-gan {i}"));
            // Without it the others do its work.
            let _ = thread.spawn(|| TEAM.help());
        }
    });
    &TEAM
}

impl Team {
    /// Lets the others join in until the end of what is returned; nothing if there is another loop.
    fn open<'a>(&'static self, work: &'a (dyn Fn() + Sync)) -> Option<Open<'a>> {
        if self.taken.swap(true, SeqCst) {
            return None;
        }
        // SAFETY: only who has come through the open gate calls it, and the end of `Open`, which does not outlive
        // `work`, closes the gate and waits for all of them. `together` drops it, and nothing in between unwinds.
        let work = unsafe { std::mem::transmute::<&'a (dyn Fn() + Sync), Work>(work) };
        *lock(&self.work) = Some(work);
        let round = self.gate.load(SeqCst) / ROUND;
        self.gate.store((round + 1) * ROUND, SeqCst);
        if self.asleep.load(SeqCst) > 0 {
            let _bed = lock(&self.bed);
            self.bell.notify_all();
        }
        Some(Open {
            team: self,
            _work: std::marker::PhantomData,
        })
    }

    /// The life of one of the others.
    fn help(&self) {
        let (mut seen, mut idle) = (0, Instant::now());
        loop {
            if self.enter(&mut seen) {
                let work = *lock(&self.work);
                work.expect("set before the gate opened")();
                self.gate.fetch_sub(1, SeqCst);
                idle = Instant::now();
            } else if idle.elapsed() > PATIENCE {
                self.sleep(seen);
                idle = Instant::now();
            } else {
                let waiting = || self.gate.load(SeqCst) / ROUND == seen;
                wait_while(waiting, 1);
            }
        }
    }

    /// Whether there is a loop to join in; its number becomes the one that was seen.
    fn enter(&self, seen: &mut u64) -> bool {
        let open = |gate: u64| (gate / ROUND != *seen && gate & CLOSED == 0).then_some(gate + 1);
        let entered = self.gate.fetch_update(SeqCst, SeqCst, open);
        let (Ok(gate) | Err(gate)) = entered;
        *seen = gate / ROUND;
        entered.is_ok()
    }

    fn sleep(&self, seen: u64) {
        let mut bed = lock(&self.bed);
        self.asleep.fetch_add(1, SeqCst);
        while self.gate.load(SeqCst) / ROUND == seen {
            bed = self.bell.wait(bed).unwrap_or_else(PoisonError::into_inner);
        }
        self.asleep.fetch_sub(1, SeqCst);
    }
}

/// A loop that others may join.
struct Open<'a> {
    team: &'static Team,
    _work: std::marker::PhantomData<&'a ()>,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let gate = &self.team.gate;
        gate.fetch_or(CLOSED, SeqCst);
        let inside = || gate.load(SeqCst) & (CLOSED - 1) > 0;
        wait_while(inside, usize::MAX);
        self.team.taken.store(false, SeqCst);
    }
}

/// Waits awake, and offers the core to others now and then: so many times.
fn wait_while(condition: impl Fn() -> bool, times: usize) {
    for _ in 0..times {
        for _ in 0..SPINS {
            if !condition() {
                return;
            }
            spin_loop();
        }
        thread::yield_now();
    }
}

/// The lock, also where a holder has panicked: what mutexes guard here stays whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn squares(count: usize) -> Vec<usize> {
        let mut squares = vec![0; count];
        for_each(squares.iter_mut().enumerate(), |(i, square)| {
            *square += i * i
        });
        squares
    }

    #[test]
    fn each_item_comes_once() {
        for count in [0, 1, 2, 7, 1000] {
            assert_eq!(
                squares(count),
                (0..count).map(|i| i * i).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn loops_inside_of_loops_and_beside_each_other_end() {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let mut sums = [0; 20];
                        for_each(sums.iter_mut(), |sum| *sum = squares(50).iter().sum());
                        assert_eq!(sums, [40425; 20]);
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_reaches_who_began_the_loop_and_the_next_loop_works() {
        for culprit in [0, 5, 99] {
            let ran = AtomicUsize::new(0);
            let panic = catch_unwind(|| {
                for_each(0..100, |i| {
                    ran.fetch_add(1, SeqCst);
                    assert!(i != culprit, "item {i}");
                })
            });
            let panic = panic.expect_err("it panicked");
            assert_eq!(panic.downcast_ref(), Some(&format!("item {culprit}")));
            assert!(ran.into_inner() <= 100);
            assert_eq!(squares(100)[99], 9801);
        }
    }

    #[test]
    fn a_loop_in_which_all_panic_leaves_none_for_the_next() {
        for _ in 0..20 {
            let all = || for_each(0..100, |i| panic!("item {i}"));
            catch_unwind(all).expect_err("it panicked");
            assert_eq!(squares(100)[99], 9801);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn nobody_falls_asleep_between_two_loops() {
        let alone = ["--ignored", "--exact", "team::tests::loops_of_a_program"];
        let program = std::env::current_exe().unwrap();
        let output = std::process::Command::new(program).args(alone).output();
        let output = output.unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && printed.contains("1 passed"),
            "{printed}"
        );
    }

    /// Every time that a thread falls asleep counts as a voluntary switch.
    #[cfg(target_os = "linux")]
    #[test]
    #[ignore = "run by the test above, in a process of its own: loops of other tests keep the threads awake"]
    fn loops_of_a_program() {
        let switches = || {
            let tasks = std::fs::read_dir("/proc/self/task").unwrap();
            let statuses = tasks
                .flat_map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).ok());
            let team = statuses.filter(|status| status.starts_with("Name:\tdigit-gan "));
            let switches = team.map(|status| {
                let line = status
                    .lines()
                    .find(|line| line.starts_with("voluntary"))
                    .unwrap();
                line.rsplit('\t').next().unwrap().parse::<usize>().unwrap()
            });
            switches.sum::<usize>()
        };
        let loops = 200;
        squares(100);
        let before = switches();
        for _ in 0..loops {
            squares(10_000);
            let until = Instant::now() + Duration::from_micros(400);
            while Instant::now() < until {}
        }
        let slept = switches() - before;
        assert!(slept < loops / 2, "{slept} times in {loops} loops");
    }
}
