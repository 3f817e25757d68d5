//! A training at a glance, for a display that is replaced while it runs: how far it is, losses, samples.

use candle_core::Tensor;

use super::Figure;
use super::curves::live_loss_curves;
use super::grid::live_grid;
use crate::display::{Content, Show, escape, evcxr_display};
use crate::live::Live;
use crate::record::{History, Position, Progress, clock};
use crate::{Error, Result, interrupt};

/// Columns of the grid of samples.
const COLUMNS: usize = 10;

/// What [`Live::training`] shows.
#[derive(Clone, Debug)]
pub struct TrainingFrame {
    progress: Progress,
    /// None before the first step.
    curves: Option<Figure>,
    samples: Figure,
}

impl TrainingFrame {
    /// A run as it is now, with samples (n, channels, height, width) in [-1, 1], always of the same noise.
    ///
    /// # Errors
    /// Those of [`sample_grid`](super::sample_grid).
    pub fn new(history: &History, samples: &Tensor) -> Result<Self> {
        Ok(TrainingFrame {
            progress: history.progress(),
            curves: live_loss_curves(&history.d_loss, &history.g_loss)?,
            samples: live_grid(samples, COLUMNS)?,
        })
    }
}

impl Show for TrainingFrame {
    fn content(&self) -> Content {
        let lines = lines(&self.progress);
        let figures = self.curves.iter().chain([&self.samples]);
        Content::text(lines.join("\n")).with_html(progress_html(&self.progress, &lines, figures))
    }
}

evcxr_display!(TrainingFrame);

impl Live {
    /// Shows how a training is doing, if a frame is due: how far it is, its losses so far, and `samples` of the generator,
    /// always of the same noise. Call it once a step; the last step is always shown.
    ///
    /// ```
    /// use digit_gan::prelude::*;
    /// let logits = Tensor::zeros((64, 1), DType::F32, &Device::Cpu)?;
    /// let loss = Tensor::new(0.7f32, &Device::Cpu)?;
    /// let mut history = History::new(1, 2);
    /// let mut live = Live::new();
    /// for _step in 0..2 {
    ///     history.push(&loss, &loss, &logits, &logits)?;
    ///     live.training(&history, || Tensor::zeros((10, 1, 28, 28), DType::F32, &Device::Cpu))?;
    /// }
    /// # Ok::<(), digit_gan::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of `samples` and [`TrainingFrame::new`], and [`Error::Interrupted`] when the user has stopped the cell.
    pub fn training<E: Into<Error>>(
        &mut self,
        history: &History,
        samples: impl FnOnce() -> std::result::Result<Tensor, E>,
    ) -> Result<()> {
        let frame = || TrainingFrame::new(history, &samples().map_err(Into::into)?);
        match history.is_finished() {
            true => self.show(&frame()?),
            false => return self.update(frame),
        }
        interrupt::check()
    }
}

/// Where a run is, how fast, and its losses: a line each.
fn lines(progress: &Progress) -> Vec<String> {
    let position = match progress.position {
        Position::Epoch { number, of } => format!("epoch {number} of {of}"),
        Position::Step { step, .. } => format!("step {step}"),
    };
    // 100% is for a run that has ended.
    let percent = (100. * progress.fraction).floor();
    let speed = progress.images_per_second;
    let mut first = format!("{percent:.0}% · {position} · {speed:.0} images/s");
    first += &format!(" · {} elapsed", clock(progress.elapsed));
    if progress.fraction < 1.
        && let Some(left) = progress.left()
    {
        first += &format!(", {} left", clock(left));
    }
    let losses = progress.means.map(|means| {
        format!(
            "D loss {:.3} · G loss {:.3} · D(real) {:.2} · D(fake) {:.2}",
            means.d_loss, means.g_loss, means.d_real, means.d_fake
        )
    });
    [first].into_iter().chain(losses).collect()
}

/// A bar, the lines, and the figures side by side where there is room. The text has the page's colours.
pub(crate) fn progress_html<'a>(
    progress: &Progress,
    lines: &[impl AsRef<str>],
    figures: impl Iterator<Item = &'a Figure>,
) -> String {
    let percent = 100. * progress.fraction;
    let lines: Vec<String> = lines.iter().map(|line| escape(line.as_ref())).collect();
    let figures: Vec<String> = figures.map(Figure::html).collect();
    format!(
        "<div><progress max=\"100\" value=\"{percent:.1}\" aria-label=\"training\" \
         style=\"width: 100%; max-width: 40em\">{percent:.0}%</progress><br>{}<br>{}</div>",
        lines.join("<br>"),
        figures.join(" ")
    )
}
