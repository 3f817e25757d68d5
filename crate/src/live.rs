//! A display that is replaced in place while its cell runs.

use std::process;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use crate::Result;
use crate::display::{Content, Reader, Show, reader, send, write};
use crate::interrupt;

/// Frames follow each other no faster than this.
const FRAMES: Duration = Duration::from_millis(500);
/// Making and sending frames takes at most this fraction of the time.
const BUDGET: f64 = 0.015;
/// Lines of text follow each other no faster than this.
const LINES: Duration = Duration::from_secs(5);
/// Nor do they follow faster than this fraction of the time since the first: a long run prints fewer lines an hour.
const LINES_FRACTION: f64 = 0.05;

/// One display of a cell, replaced in place as often as it is shown to.
///
/// ```
/// use digit_gan::prelude::*;
/// let rng = Rng::seed(1);
/// let mut live = Live::new();
/// let mut samples = rng.uniform((20, 1, 28, 28), -1., 1.)?;
/// for _ in 0..100 {
///     samples = (samples * 0.99)?; // the work
///     live.update(|| plot::sample_grid(&samples, 10))?; // drawn only when a frame is due
/// }
/// live.show(&plot::sample_grid(&samples, 10)?); // the last state
/// # Ok::<(), digit_gan::Error>(())
/// ```
///
/// In the notebooks' kernel the value appears below the cell and changes while the cell runs. What is shown last stays,
/// also in a saved or exported notebook. Under stock evcxr, which cannot replace what it has shown, and in a program, a
/// line of text is printed now and then instead. Each cell needs a `Live` of its own.
pub struct Live {
    /// The display's name; none before the first frame.
    id: Option<String>,
    pace: Pace,
}

impl Default for Live {
    fn default() -> Self {
        Self::new()
    }
}

impl Live {
    /// A display without a frame: nothing is seen of it yet.
    pub fn new() -> Self {
        Live {
            id: None,
            pace: Pace::new(Live::is_possible(), Instant::now()),
        }
    }

    /// Whether displays are replaced in place, by the notebooks' kernel; elsewhere lines of text are printed.
    pub fn is_possible() -> bool {
        matches!(reader(), Reader::Kernel(_))
    }

    /// Shows a value if a frame is due, and returns an error if the user has asked the cell to stop.
    ///
    /// The first frame is due at once, the next ones twice a second, but so rarely that making and showing them
    /// takes less than 2% of the time. In between `value` is not called, and a call costs some nanoseconds. Call
    /// [`Live::show`] where the last state must be seen.
    ///
    /// # Errors
    /// Those of `value`, and [`Error::Interrupted`](crate::Error::Interrupted) once the state is shown in which the loop
    /// stops.
    pub fn update<T: Show>(&mut self, value: impl FnOnce() -> Result<T>) -> Result<()> {
        self.update_measured(|| {
            let began = Instant::now();
            let value = value()?;
            Ok((value, began.elapsed()))
        })
    }

    /// The same for a value that tells how long it took to make it, without waiting.
    pub(crate) fn update_measured<T: Show>(
        &mut self,
        value: impl FnOnce() -> Result<(T, Duration)>,
    ) -> Result<()> {
        let stop = interrupt::check();
        if stop.is_err() || self.pace.is_due(Instant::now()) {
            // Also the last state is made by what can be stopped.
            let (value, made) = interrupt::defer(value)?;
            let began = Instant::now();
            let content = value.content();
            match reader() {
                Reader::Kernel(token) => self.send(token, &content),
                Reader::Evcxr | Reader::Terminal => write(&format!("{}\n", content.as_text())),
            }
            let now = Instant::now();
            self.pace.count(made + (now - began), now);
        }
        stop
    }

    /// Shows a value now.
    pub fn show(&mut self, value: &(impl Show + ?Sized)) {
        let content = value.content();
        match reader() {
            Reader::Kernel(token) => self.send(token, &content),
            // Of several, evcxr shows the last one, when the cell has ended.
            Reader::Evcxr => write(&content.blocks()),
            Reader::Terminal => write(&format!("{}\n", content.as_text())),
        }
    }

    fn send(&mut self, token: &str, content: &Content) {
        let kind = match self.id {
            None => "display",
            Some(_) => "update",
        };
        let id = self.id.get_or_insert_with(fresh_id);
        send(token, kind, Some(id), content);
    }
}

/// A name that no other display of a notebook has, not even one of an earlier kernel.
fn fresh_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let time = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let (time, count) = (time.as_millis(), COUNT.fetch_add(1, Relaxed));
    format!("digit-gan-{time}-{}-{count}", process::id())
}

/// Tells when the next frame, or the next line of text, is due.
struct Pace {
    frames: bool,
    started: Instant,
    due: Instant,
    /// What a frame takes.
    cost: Option<Duration>,
}

impl Pace {
    fn new(frames: bool, now: Instant) -> Self {
        Pace {
            frames,
            started: now,
            due: now,
            cost: None,
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        now >= self.due
    }

    /// Counts a frame that took so long to make and to show.
    fn count(&mut self, cost: Duration, ended: Instant) {
        // The first frame warms everything up: what it took soon counts little in this mean.
        let cost = self.cost.map_or(cost, |mean| (mean + cost) / 2);
        self.cost = Some(cost);
        let interval = match self.frames {
            true => FRAMES,
            false => LINES.max((ended - self.started).mul_f64(LINES_FRACTION)),
        };
        self.due = ended + interval.max(cost.div_f64(BUDGET));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When frames are shown in a loop of this many seconds, if one takes `cost` milliseconds.
    fn shown(frames: bool, seconds: u64, cost: u64) -> Vec<Duration> {
        let cost = Duration::from_millis(cost);
        let start = Instant::now();
        let (mut pace, mut now) = (Pace::new(frames, start), start);
        let mut shown = Vec::new();
        while now - start < Duration::from_secs(seconds) {
            if pace.is_due(now) {
                shown.push(now - start);
                pace.count(cost, now + cost);
                now += cost;
            }
            now += Duration::from_millis(7); // a step of the work
        }
        shown
    }

    #[test]
    fn frames_come_every_second_and_take_two_percent_at_most() {
        for cost in [0, 1, 5, 10, 14] {
            let shown = shown(true, 60, cost);
            assert_eq!(shown[0], Duration::ZERO, "something is seen at once");
            let gaps = shown.windows(2).map(|pair| pair[1] - pair[0]);
            let longest = gaps.max().unwrap();
            assert!(longest <= Duration::from_secs(1), "{cost} ms: {longest:?}");
            assert!(
                shown.len() as u64 * cost <= 60_000 / 50,
                "{cost} ms: {}",
                shown.len()
            );
        }
        let slow = shown(true, 600, 100);
        assert!(slow.len() * 100 <= 600_000 / 50, "{}", slow.len());
    }

    #[test]
    fn an_expensive_first_frame_does_not_hold_back_the_others() {
        let start = Instant::now();
        let mut pace = Pace::new(true, start);
        let mut now = start;
        for cost in [300, 5, 5, 5, 5, 5, 5] {
            now = now.max(pace.due);
            let cost = Duration::from_millis(cost);
            pace.count(cost, now + cost);
        }
        assert!(
            pace.due - now < Duration::from_secs(1),
            "{:?}",
            pace.due - now
        );
    }

    #[test]
    fn lines_of_text_become_rare() {
        assert!((8..=13).contains(&shown(false, 60, 1).len()));
        assert!(shown(false, 3600, 1).len() < 110);
    }
}
