//! Pictures in a row with a slider: in a cell, in an exported page and in a file of its own, without a server.
//!
//! Everything is in one block of HTML: the last picture, and a script that puts a slider below it. Where scripts don't
//! run, as in an untrusted notebook or on a code host, the last picture stays.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::Figure;
use super::page::save_page;
use crate::display::{Content, Show, escape, evcxr_display};
use crate::{Error, Result};

/// Pictures to be looked at one by one; shows itself as the last expression of a cell. See [`scrub`].
#[derive(Clone)]
pub struct Scrubber {
    /// At least one.
    frames: Vec<(String, Figure)>,
}

/// A frame, as the script reads it.
#[derive(Serialize)]
struct Frame<'a> {
    label: &'a str,
    alt: &'a str,
    /// Empty for the last one: that picture is in the page already.
    src: String,
}

/// A slider over pictures, each with a label such as "step 100". The last one is seen first.
///
/// ```
/// use digit_gan::{plot, rng::Rng};
/// let rng = Rng::seed(1);
/// let mut frames = Vec::new();
/// for step in 0..3 {
///     let samples = rng.uniform((10, 1, 28, 28), -1., 1.)?;
///     frames.push((format!("step {step}"), plot::sample_grid(&samples, 10)?));
/// }
/// assert!(plot::scrub(&frames)?.html().starts_with("<figure"));
/// # Ok::<(), digit_gan::Error>(())
/// ```
///
/// # Errors
/// [`Error::Value`] for no frames.
pub fn scrub(frames: &[(impl AsRef<str>, Figure)]) -> Result<Scrubber> {
    if frames.is_empty() {
        return Err(Error::Value(
            "scrub: no frames; keep a figure with its label now and then while the training runs"
                .into(),
        ));
    }
    let frames = frames.iter();
    let frames = frames.map(|(label, figure)| (label.as_ref().to_string(), figure.clone()));
    Ok(Scrubber {
        frames: frames.collect(),
    })
}

impl Scrubber {
    /// The last picture with its label, and the script that adds the slider.
    pub fn html(&self) -> String {
        format!(
            "<figure class=\"digit-gan-scrubber\" style=\"margin: 0\" data-frames=\"{}\">{}\
             <figcaption>{}</figcaption></figure>\n<script>\n{}</script>",
            escape(&self.frames()),
            self.picture().html(),
            escape(self.label()),
            include_str!("scrub.js"),
        )
    }

    /// Writes a page that needs nothing else, to be opened in any browser.
    ///
    /// # Errors
    /// [`Error::Value`] unless the file is named .html, [`Error::Io`] when it cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        save_page(
            path.as_ref(),
            "a scrubber",
            "Pictures of a training",
            &self.html(),
        )
    }

    /// The last picture: what is seen where scripts don't run.
    pub fn picture(&self) -> &Figure {
        &self.last().1
    }

    fn label(&self) -> &str {
        &self.last().0
    }

    fn last(&self) -> &(String, Figure) {
        &self.frames[self.frames.len() - 1]
    }

    /// All frames, as the script reads them.
    fn frames(&self) -> String {
        let last = self.frames.len() - 1;
        let frames = self.frames.iter().enumerate();
        let frames = frames.map(|(i, (label, figure))| Frame {
            label,
            alt: figure.alt(),
            src: match i == last {
                true => String::new(),
                false => figure.data_url(),
            },
        });
        let frames: Vec<Frame> = frames.collect();
        // Texts: they have a JSON form always.
        serde_json::to_string(&frames).unwrap_or_default()
    }
}

/// The slider, or the last picture where scripts don't run.
impl Show for Scrubber {
    fn content(&self) -> Content {
        let words = format!(
            "{} pictures from {} to {}. The last one: {}",
            self.frames.len(),
            self.frames[0].0,
            self.label(),
            self.picture().alt()
        );
        Content::text(words).with_html(self.html())
    }
}

evcxr_display!(Scrubber);

/// The words, not the bytes: a failed assertion in a cell stays readable.
impl fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "Scrubber({} frames, {:?})",
            self.frames.len(),
            self.picture()
        )
    }
}
