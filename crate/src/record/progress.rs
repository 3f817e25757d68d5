//! How far a run is.

use std::fmt;
use std::time::Duration;

/// How far a run is and how it is doing, as a line of a table.
///
/// ```
/// use digit_gan::record::{Means, Position, Progress};
/// let mut progress = Progress {
///     position: Position::Epoch { number: 3, of: 30 },
///     fraction: 0.1,
///     means: Some(Means { d_loss: 1.2, g_loss: 0.9, d_real: 0.6, d_fake: 0.4 }),
///     images_per_second: 6000.,
///     elapsed: std::time::Duration::from_secs(30),
///     ..Progress::default()
/// };
/// assert_eq!(progress.to_string(), "   3/30    1.200    0.900     0.60     0.40      6000      0:30      4:30");
/// progress.first = true; // now with a header
/// assert!(progress.to_string().starts_with("  epoch   D loss   G loss"));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Where the run is, in its own unit.
    pub position: Position,
    /// The fraction of the run that is done, from 0 to 1.
    pub fraction: f64,
    /// Means over the latest steps; none before the first step.
    pub means: Option<Means>,
    /// Real images that a second of training takes in.
    pub images_per_second: f64,
    /// Time spent so far.
    pub elapsed: Duration,
    /// The Fréchet distance, where one was just measured.
    pub frechet: Option<f64>,
    /// Whether the scores are mean logits: those of a game whose logits stand for no probability.
    pub logits: bool,
    /// Whether the table has a column for Fréchet distances.
    pub judged: bool,
    /// Whether this is the first line of a table, which comes with a header.
    pub first: bool,
}

/// The unit that a run counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Epochs of a notebook's own loop, counted from 1.
    Epoch {
        /// The epoch under way, or just ended.
        number: usize,
        /// Epochs of the whole run.
        of: usize,
    },
    /// Steps of a [`Trainer`](crate::train::Trainer).
    Step {
        /// Steps so far.
        step: u64,
        /// Real images that the discriminator has seen so far.
        images: u64,
        /// Images of the whole run.
        of: u64,
    },
}

/// Means of losses and scores over some steps; see [`StepStats`](super::StepStats).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Means {
    /// The discriminator's loss.
    pub d_loss: f64,
    /// The generator's loss.
    pub g_loss: f64,
    /// The discriminator's score of real images.
    pub d_real: f64,
    /// The same of generated images.
    pub d_fake: f64,
}

impl Progress {
    /// Time that the rest will take at the speed so far; none before the first step.
    pub fn left(&self) -> Option<Duration> {
        let rest = (1. - self.fraction).max(0.) / self.fraction;
        rest.is_finite()
            .then(|| seconds(self.elapsed.as_secs_f64() * rest))
    }

    /// The names of the columns. D(real) and D(fake) are probabilities; logits are called "on real" and "on fake".
    pub fn header(&self) -> String {
        let position = match self.position {
            Position::Epoch { .. } => "  epoch",
            Position::Step { .. } => "    step     images",
        };
        let scores = match self.logits {
            true => "on real  on fake",
            false => "D(real)  D(fake)",
        };
        let frechet = if self.judged { "   Fréchet" } else { "" };
        format!("{position}   D loss   G loss  {scores}  images/s   elapsed      left{frechet}")
    }

    /// The means in words; none before the first step.
    pub(crate) fn words(&self) -> Option<String> {
        let means = self.means?;
        let scores = match self.logits {
            true => ["mean logit on real", "on fake"],
            false => ["D(real)", "D(fake)"],
        };
        Some(format!(
            "D loss {:.3}, G loss {:.3}, {} {:.2}, {} {:.2}",
            means.d_loss, means.g_loss, scores[0], means.d_real, scores[1], means.d_fake
        ))
    }
}

impl Default for Position {
    fn default() -> Self {
        Position::Epoch { number: 1, of: 1 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Position::Epoch { number, of } => {
                let digits = of.to_string().len();
                write!(f, "{:>7}", format!("{number:>digits$}/{of}"))
            }
            Position::Step { step, images, .. } => write!(f, "{step:>8}  {images:>9}"),
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.first {
            writeln!(f, "{}", self.header())?;
        }
        let Some(means) = self.means else {
            let reason = "no step: is a batch larger than the data set?";
            return write!(f, "{}  {reason}", self.position);
        };
        write!(
            f,
            "{}  {:>7.3}  {:>7.3}  {:>7.2}  {:>7.2}  {:>8.0}  {:>8}  {:>8}",
            self.position,
            means.d_loss,
            means.g_loss,
            means.d_real,
            means.d_fake,
            self.images_per_second,
            clock(self.elapsed),
            self.left().map_or("-".into(), clock),
        )?;
        match self.frechet {
            Some(frechet) => write!(f, "  {frechet:>8.2}"),
            None if self.judged => write!(f, "{:10}", ""),
            None => Ok(()),
        }
    }
}

/// "1:23", or "1:02:03" from an hour on.
pub(crate) fn clock(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// The longest duration for what is too long or NaN.
pub(crate) fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_end_under_their_names() {
        let ends = |line: &str| -> Vec<usize> {
            let names = ["D loss", "G loss", "on real", "on fake"];
            let spaced = names.iter().fold(line.to_string(), |line, name| {
                line.replace(name, &name.replace(" ", "_"))
            });
            let chars: Vec<char> = spaced.chars().chain([' ']).collect();
            (1..chars.len())
                .filter(|&i| chars[i] == ' ' && chars[i - 1] != ' ')
                .collect()
        };
        let means = Means {
            d_loss: 1.5,
            g_loss: 1.,
            d_real: 0.7,
            d_fake: 0.3,
        };
        for of in [3, 30, 300] {
            let step = Position::Step {
                step: of,
                images: 64 * of,
                of: 64_000,
            };
            let epoch = Position::Epoch {
                number: 2,
                of: of as usize,
            };
            for (position, judged) in [(epoch, false), (step, false), (step, true)] {
                let progress = Progress {
                    logits: judged,
                    position,
                    fraction: 0.01,
                    means: Some(means),
                    elapsed: Duration::from_secs(of),
                    frechet: judged.then_some(12.3),
                    judged,
                    ..Progress::default()
                };
                let (line, header) = (progress.to_string(), progress.header());
                assert_eq!(ends(&line), ends(&header), "{header}\n{line}");
            }
        }
    }

    #[test]
    fn hours_are_told_from_minutes() {
        assert_eq!(clock(Duration::from_secs(59)), "0:59");
        assert_eq!(clock(Duration::from_millis(59_600)), "1:00");
        assert_eq!(clock(Duration::from_secs(3723)), "1:02:03");
    }

    #[test]
    fn a_run_that_has_not_begun_has_no_end_in_sight() {
        assert_eq!(Progress::default().left(), None);
    }
}
