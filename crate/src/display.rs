//! How values show themselves in a cell: the one place that knows evcxr.
//!
//! evcxr calls `evcxr_display` on the last expression of a cell, and reads marked blocks from stdout. A cell
//! keeps one block of each MIME type, so a figure is one block; blocks of two types are alternatives.

use std::ffi::OsStr;
use std::fmt;
use std::ops::Range;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use candle_core::utils::get_num_threads;

use crate::files::write_atomically;
use crate::metrics::{Comparison, Report};
use crate::nn::Summary;
use crate::plot::{Explorer, Figure, Format};
use crate::train::Status;
use crate::{Error, Result};

/// What a notebook runs on, with a hint where the kernel compiles for less than full speed.
///
/// ```
/// println!("{}", digit_gan::display::setup());
/// ```
pub fn setup() -> Setup {
    let optimised = env!("DIGIT_GAN_OPT_LEVEL") == "3" && !cfg!(debug_assertions);
    Setup {
        threads: get_num_threads(),
        optimised,
    }
}

/// See [`setup`].
#[derive(Clone, Debug)]
pub struct Setup {
    /// CPU threads that candle computes with.
    pub threads: usize,
    /// Whether the crate is compiled at full speed.
    pub optimised: bool,
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "digit-gan {} on candle {}, CPU with {} thread{}, ",
            env!("CARGO_PKG_VERSION"),
            env!("DIGIT_GAN_CANDLE"),
            self.threads,
            if self.threads == 1 { "" } else { "s" },
        )?;
        f.write_str(if self.optimised {
            "compiled at full speed"
        } else {
            SLOW
        })
    }
}

const SLOW: &str = "\
compiled without full optimisation: all results are right, but training is about 4 times slower.
To mend that, start Jupyter with `make lab`; or, in a conda environment made from environment.yml, choose the
kernel \"Rust\"; or put these lines before `:dep` and restart the kernel:
:build_env CARGO_PROFILE_DEV_OPT_LEVEL=3
:build_env CARGO_PROFILE_DEV_DEBUG_ASSERTIONS=false
:build_env CARGO_PROFILE_DEV_OVERFLOW_CHECKS=false";

impl Setup {
    /// Shows the text of its [`Display`](fmt::Display).
    pub fn evcxr_display(&self) {
        show(&[("text/plain", &self.to_string())]);
    }
}

impl Figure {
    /// One `<img>` element that carries the whole picture.
    pub fn html(&self) -> String {
        // An animation is stored small; smoothing would blur its enlarged pixels.
        let rendering = match self.format() {
            Format::Png => "auto",
            Format::Gif => "pixelated",
        };
        format!(
            "<img alt=\"{}\" width=\"{}\" style=\"max-width: 100%; height: auto; \
             image-rendering: {rendering}\" \
             src=\"data:image/{};base64,{}\">",
            escape(self.alt()),
            self.width(),
            self.format().extension(),
            STANDARD.encode(self.bytes())
        )
    }

    /// Shows the picture.
    pub fn evcxr_display(&self) {
        show(&[("text/html", &self.html())]);
    }
}

impl Explorer {
    /// A picture with its words, and the script that puts sliders in its place.
    pub fn html(&self) -> String {
        format!(
            "<figure class=\"digit-gan-explorer\" style=\"margin: 0\" data-sheet=\"{}\">{}\
             <figcaption>{}</figcaption></figure>\n<script>\n{}</script>",
            escape(&self.sheet()),
            self.picture().html(),
            escape(self.picture().alt()),
            include_str!("plot/explorer.js"),
        )
    }

    /// Writes a page that needs nothing else, to be opened in any browser.
    ///
    /// # Errors
    /// [`Error::Value`] unless the file is named .html, [`Error::Io`] when it cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let is_html = |extension: &OsStr| extension.eq_ignore_ascii_case("html");
        if !path.extension().is_some_and(is_html) {
            return Err(Error::Value(format!(
                "{}: an explorer is saved as a page; name the file with the extension .html",
                path.display()
            )));
        }
        let page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Generated digits</title>\n\
             <body style=\"font-family: sans-serif; margin: 2em\">\n{}\n",
            self.html()
        );
        write_atomically(path, |file| file.write_all(page.as_bytes()))
    }

    /// Shows the sliders, or the picture where scripts don't run.
    pub fn evcxr_display(&self) {
        show(&[("text/html", &self.html())]);
    }
}

impl Status {
    /// The text above the samples.
    pub fn html(&self) -> String {
        let text = escape(&self.to_string());
        format!("<pre>{text}</pre>{}", self.samples.html())
    }

    /// Shows where the run stands, with its samples.
    pub fn evcxr_display(&self) {
        show(&[
            ("text/html", &self.html()),
            ("text/plain", &self.to_string()),
        ]);
    }
}

impl Summary {
    /// Shows the layers as a table.
    pub fn evcxr_display(&self) {
        let (caption, footer) = self.caption();
        let html = html_table(&caption, &Self::HEADER, &self.cells(), 2..3, &footer);
        show(&[("text/html", &html), ("text/plain", &self.to_string())]);
    }
}

impl Comparison {
    /// Shows the metrics as a table.
    pub fn evcxr_display(&self) {
        let (caption, footer) = self.caption();
        let (header, cells) = (self.header(), self.cells());
        let html = html_table(&caption, &header, &cells, self.numbers(), &footer);
        show(&[("text/html", &html), ("text/plain", &self.to_string())]);
    }
}

impl Report {
    /// Shows the metrics as a table.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display();
    }
}

/// A table; the columns of `numbers` stand to the right. The text is escaped.
pub(crate) fn html_table(
    caption: &str,
    header: &[impl AsRef<str>],
    rows: &[impl AsRef<[String]>],
    numbers: Range<usize>,
    footer: &str,
) -> String {
    let cell = |tag: &str, column: usize, text: &str| {
        let side = if numbers.contains(&column) {
            "right"
        } else {
            "left"
        };
        let text = escape(text);
        format!("<{tag} style=\"text-align: {side}\">{text}</{tag}>")
    };
    let (columns, header) = (header.len(), header.iter().enumerate());
    let header: String = header
        .map(|(i, text)| cell("th", i, text.as_ref()))
        .collect();
    let body = rows.iter().map(|cells| {
        let cells = cells.as_ref().iter().enumerate();
        let cells: String = cells.map(|(i, text)| cell("td", i, text)).collect();
        format!("<tr>{cells}</tr>")
    });
    format!(
        "<table><caption style=\"text-align: left\"><b>{}</b></caption><thead><tr>{header}</tr></thead>\
         <tbody>{}</tbody><tfoot><tr><td colspan=\"{columns}\" style=\"text-align: left\">{}</td></tr></tfoot></table>",
        escape(caption),
        body.collect::<String>(),
        escape(footer),
    )
}

/// Text as it stands between tags and in attributes.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Prints blocks of (MIME type, content) in one piece, so that no other thread writes between them.
fn show(blocks: &[(&str, &str)]) {
    let marked: String = blocks
        .iter()
        .map(|(mime, content)| {
            format!("EVCXR_BEGIN_CONTENT {mime}\n{content}\nEVCXR_END_CONTENT\n")
        })
        .collect();
    print!("{marked}");
}
