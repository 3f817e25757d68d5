//! The figures of a run: of each step, and their means as lines of `stats.jsonl`.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};

use super::{Means, Position, Progress, seconds};
use crate::files::write_atomically;
use crate::{Error, Result};

/// What a step of a [`Trainer`](crate::train::Trainer) measures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepStats {
    /// Counted from 1.
    pub step: u64,
    /// Real images that the discriminator has seen so far.
    pub images: u64,
    /// The discriminator's loss without its penalty.
    pub d_loss: f32,
    /// The penalty on the discriminator's slope; 0 where the recipe has none.
    pub d_penalty: f32,
    /// The generator's loss.
    pub g_loss: f32,
    /// The discriminator's mean score of the real batch: the probability of being real where logits stand for one
    /// (non-saturating, minimax), else the logit itself.
    pub d_real: f32,
    /// The same of the generated batch.
    pub d_fake: f32,
    /// The fraction of images (for the relativistic loss: of pairs) that the discriminator classifies correctly as real
    /// or generated. None for Wasserstein, whose scores have no zero.
    pub d_accuracy: Option<f32>,
}

/// A line of `stats.jsonl`: means over the steps since the line before it.
///
/// A value that is not finite is written as `null`, which JSON has for it, and read as NaN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// The last step that the line covers.
    pub step: u64,
    /// Real images that the discriminator had seen by then.
    pub images: u64,
    /// How often it had seen the whole data set by then; none in lines of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<f64>,
    /// Time spent in training steps, over all sessions of the run.
    #[serde(deserialize_with = "or_nan")]
    pub seconds: f64,
    /// See [`StepStats::d_loss`].
    #[serde(deserialize_with = "or_nan")]
    pub d_loss: f64,
    /// See [`StepStats::d_penalty`].
    #[serde(deserialize_with = "or_nan")]
    pub d_penalty: f64,
    /// See [`StepStats::g_loss`].
    #[serde(deserialize_with = "or_nan")]
    pub g_loss: f64,
    /// See [`StepStats::d_real`].
    #[serde(deserialize_with = "or_nan")]
    pub d_real: f64,
    /// See [`StepStats::d_fake`].
    #[serde(deserialize_with = "or_nan")]
    pub d_fake: f64,
    /// See [`StepStats::d_accuracy`].
    #[serde(alias = "d_right")]
    pub d_accuracy: Option<f64>,
    /// The norm of the discriminator's gradient at the last step.
    #[serde(deserialize_with = "or_nan")]
    pub d_gradient_norm: f64,
    /// The norm of the generator's gradient at the last step.
    #[serde(deserialize_with = "or_nan")]
    pub g_gradient_norm: f64,
    /// Real images that a second of training took in.
    #[serde(deserialize_with = "or_nan")]
    pub images_per_second: f64,
    /// The generator's at the last step.
    #[serde(deserialize_with = "or_nan")]
    pub learning_rate: f64,
    /// Where the run was judged after the last step: [`Judgement::frechet`](super::Judgement::frechet).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frechet: Option<f64>,
    /// Where the run was judged: [`Judgement::floor`](super::Judgement::floor).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frechet_floor: Option<f64>,
    /// Where the run was judged and has classes: [`Judgement::class_accuracy`](super::Judgement::class_accuracy).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_accuracy: Option<f64>,
}

fn or_nan<'de, D: Deserializer<'de>>(value: D) -> std::result::Result<f64, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or(f64::NAN))
}

impl Stats {
    /// The line as progress of a run of `total_images`.
    pub(crate) fn progress(&self, total_images: u64, logits: bool) -> Progress {
        Progress {
            position: Position::Step {
                step: self.step,
                images: self.images,
                of: total_images,
            },
            fraction: (self.images as f64 / total_images as f64).min(1.),
            means: Some(Means {
                d_loss: self.d_loss,
                g_loss: self.g_loss,
                d_real: self.d_real,
                d_fake: self.d_fake,
            }),
            images_per_second: self.images_per_second,
            elapsed: seconds(self.seconds),
            frechet: self.frechet,
            logits,
            ..Progress::default()
        }
    }
}

/// Sums over the steps since the last line; saved with a run, so that its lines do not depend on where it was
/// interrupted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Window {
    pub steps: u64,
    pub seconds: f64,
    pub images: u64,
    d_loss: f64,
    d_penalty: f64,
    g_loss: f64,
    d_real: f64,
    d_fake: f64,
    #[serde(alias = "d_right")]
    d_accuracy: Option<f64>,
}

impl Window {
    pub fn add(&mut self, step: &StepStats, images: u64, seconds: f64) {
        self.steps += 1;
        self.seconds += seconds;
        self.images += images;
        self.d_loss += f64::from(step.d_loss);
        self.d_penalty += f64::from(step.d_penalty);
        self.g_loss += f64::from(step.g_loss);
        self.d_real += f64::from(step.d_real);
        self.d_fake += f64::from(step.d_fake);
        if let Some(accuracy) = step.d_accuracy {
            *self.d_accuracy.get_or_insert_default() += f64::from(accuracy);
        }
    }

    /// Means over the window; none for an empty one.
    pub fn means(&self) -> Option<Means> {
        let mean = |sum: f64| sum / self.steps as f64;
        (self.steps > 0).then(|| Means {
            d_loss: mean(self.d_loss),
            g_loss: mean(self.g_loss),
            d_real: mean(self.d_real),
            d_fake: mean(self.d_fake),
        })
    }

    /// 0 for an empty window.
    pub fn images_per_second(&self) -> f64 {
        self.images as f64 / self.seconds.max(1e-9)
    }

    /// The line of this window, which ends at `step` of a run that has trained for `seconds`. `norms` are those of the
    /// discriminator's and the generator's gradient.
    pub fn stats(&self, step: &StepStats, seconds: f64, norms: [f64; 2], rate: f64) -> Stats {
        let mean = |sum: f64| sum / self.steps.max(1) as f64;
        let [d_gradient_norm, g_gradient_norm] = norms;
        Stats {
            step: step.step,
            images: step.images,
            epoch: None,
            seconds,
            d_loss: mean(self.d_loss),
            d_penalty: mean(self.d_penalty),
            g_loss: mean(self.g_loss),
            d_real: mean(self.d_real),
            d_fake: mean(self.d_fake),
            d_accuracy: self.d_accuracy.map(mean),
            d_gradient_norm,
            g_gradient_norm,
            images_per_second: self.images_per_second(),
            learning_rate: rate,
            frechet: None,
            frechet_floor: None,
            class_accuracy: None,
        }
    }
}

/// The statistics of the run in a folder, a line every `log_every` steps. A last line that a kill has cut short is left
/// out.
///
/// # Errors
/// [`Error::Io`] where there is no run, [`Error::Format`] for a line that is not statistics.
pub fn read_stats(folder: impl AsRef<Path>) -> Result<Vec<Stats>> {
    let file = StatsFile::of_run(folder.as_ref());
    let text = file.text()?;
    parse(&file.path, complete(&text))
}

/// A run's `stats.jsonl`.
pub(crate) struct StatsFile {
    path: PathBuf,
}

impl StatsFile {
    pub const NAME: &str = "stats.jsonl";

    pub fn of_run(folder: &Path) -> Self {
        let path = folder.join(Self::NAME);
        StatsFile { path }
    }

    /// Adds a line.
    pub fn append(&self, stats: &Stats) -> Result<()> {
        let json = serde_json::to_string(stats)
            .map_err(|error| Error::format(&self.path, error.to_string()))?;
        let write = || {
            let mut file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(&self.path)?;
            let length = file.metadata()?.len();
            // One write: a kill cuts a line short at most, and only the last one.
            file.write_all(format!("{json}\n").as_bytes())
                // Half a line on a full disk would spoil the next one.
                .inspect_err(|_| drop(file.set_len(length)))
        };
        write().map_err(|source| Error::io(&self.path, source))
    }

    /// Syncs the lines to the disk, before a checkpoint that counts on them.
    pub fn sync(&self) -> Result<()> {
        match File::open(&self.path).and_then(|file| file.sync_all()) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io(&self.path, error)),
            _ => Ok(()),
        }
    }

    /// Drops the lines after a step, which the run will write again, and returns the others. What is dropped need not
    /// be readable.
    pub fn cut_after(&self, step: u64) -> Result<Vec<Stats>> {
        #[derive(Deserialize)]
        struct Line {
            step: u64,
        }
        let text = match self.text() {
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                return Ok(Vec::new());
            }
            text => text?,
        };
        let is_kept =
            |line: &&str| serde_json::from_str(line).is_ok_and(|line: Line| line.step <= step);
        let lines: Vec<&str> = complete(&text).collect();
        let kept = lines.iter().rposition(is_kept).map_or(0, |last| last + 1);
        let stats = parse(&self.path, lines[..kept].iter().copied())?;
        let kept = lines[..kept].concat();
        if kept.len() < text.len() {
            write_atomically(&self.path, |file| file.write_all(kept.as_bytes()))?;
        }
        Ok(stats)
    }

    fn text(&self) -> Result<String> {
        fs::read_to_string(&self.path).map_err(|source| Error::io(&self.path, source))
    }
}

/// All lines but a last one that a kill has cut short.
fn complete(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
}

fn parse<'a>(path: &Path, lines: impl Iterator<Item = &'a str>) -> Result<Vec<Stats>> {
    let line = |(number, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| {
            let expected = "expected a line of statistics";
            Error::format(path, format!("line {}: {expected}: {error}", number + 1))
        })
    };
    lines.enumerate().map(line).collect()
}
