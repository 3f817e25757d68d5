//! Where the time of training goes.
//!
//! ```
//! use digit_gan::prelude::*;
//! use digit_gan::profile::profile;
//! let rng = Rng::seed(1);
//! let network = Recipe::lean().discriminator.build(&rng)?;
//! let images = rng.normal((64, 1, 28, 28))?;
//! let (y, profile) = profile(|| network.forward_t(&images, true));
//! y?;
//! println!("{profile}");
//! # Ok::<(), digit_gan::Error>(())
//! ```

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::display::{Content, Show, evcxr_display, html_table};

/// What time is spent on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Part {
    Products,
    Packing,
    Norms,
    Layers,
    Order,
    Optimizer,
}

const PARTS: [(Part, &str); 6] = [
    (Part::Products, "products of dense layers and convolutions"),
    (Part::Packing, "rounding and packing for bf16"),
    (Part::Norms, "batch normalisation"),
    (Part::Layers, "other layers"),
    (Part::Order, "order of values, from candle's and back"),
    (
        Part::Optimizer,
        "optimizer, with large gradients, and average",
    ),
];

const HEADER: [&str; 3] = ["part", "time", "share"];

static RUNNING: AtomicBool = AtomicBool::new(false);
static NANOSECONDS: [AtomicU64; PARTS.len()] = [const { AtomicU64::new(0) }; PARTS.len()];

thread_local! {
    /// What parts inside the present one have taken.
    static INSIDE: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Calls `f`; while a profile is taken, counts its time, without that of parts inside it, for `part`.
pub(crate) fn timed<R>(part: Part, f: impl FnOnce() -> R) -> R {
    if !RUNNING.load(Relaxed) {
        return f();
    }
    let outside = INSIDE.replace(Duration::ZERO);
    let began = Instant::now();
    let result = f();
    let taken = began.elapsed();
    let own = taken.saturating_sub(INSIDE.get());
    NANOSECONDS[part as usize].fetch_add(own.as_nanos() as u64, Relaxed);
    INSIDE.set(outside + taken);
    result
}

/// Seconds of each part of what was profiled. Shows itself in a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// What, and the seconds that it took, the most expensive first; the last is all else: candle's own operations, noise,
    /// data, and what only passes on.
    pub parts: Vec<(&'static str, f64)>,
    /// Seconds in all.
    pub total: f64,
}

/// Calls `f` and says where its time went. Of two profiles at a time, in one program, neither is right.
pub fn profile<R>(f: impl FnOnce() -> R) -> (R, Profile) {
    NANOSECONDS.iter().for_each(|part| part.store(0, Relaxed));
    RUNNING.store(true, Relaxed);
    let began = Instant::now();
    let result = f();
    let total = began.elapsed().as_secs_f64();
    RUNNING.store(false, Relaxed);
    let seconds = |part: Part| NANOSECONDS[part as usize].load(Relaxed) as f64 / 1e9;
    let mut parts = PARTS.map(|(part, name)| (name, seconds(part))).to_vec();
    parts.sort_by(|a, b| b.1.total_cmp(&a.1));
    let known: f64 = parts.iter().map(|part| part.1).sum();
    parts.push(("all else", (total - known).max(0.)));
    (result, Profile { parts, total })
}

impl Profile {
    fn rows(&self) -> Vec<[String; 3]> {
        let row = |&(name, seconds): &(&str, f64)| {
            let share = 100. * seconds / self.total.max(f64::MIN_POSITIVE);
            [
                name.to_string(),
                format!("{:.1} ms", 1e3 * seconds),
                format!("{share:.0}%"),
            ]
        };
        let all = ("in all", self.total);
        self.parts.iter().chain([&all]).map(row).collect()
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for [name, time, share] in self.rows() {
            writeln!(f, "{name:<42} {time:>12} {share:>5}")?;
        }
        Ok(())
    }
}

impl Show for Profile {
    fn content(&self) -> Content {
        Content::text(self.to_string()).with_html(html_table(
            "Profile",
            &HEADER,
            &self.rows(),
            1..3,
            "",
        ))
    }
}

evcxr_display!(Profile);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_not_counted_in_the_one_around_it() {
        let wait = |ms| std::thread::sleep(Duration::from_millis(ms));
        let ((), profile) = profile(|| {
            timed(Part::Products, || {
                wait(20);
                timed(Part::Packing, || wait(60));
            });
            wait(40);
        });
        let seconds = |name: &str| {
            let part = profile.parts.iter().find(|part| part.0.contains(name));
            part.expect("a part").1
        };
        assert!(seconds("packing") > seconds("all else"), "{profile}");
        assert!(seconds("all else") > seconds("products"), "{profile}");
        assert!(seconds("products") > 0.019, "{profile}");
        timed(Part::Norms, || wait(1));
        assert_eq!(seconds("batch"), 0.); // nothing is counted behind its end
    }
}
