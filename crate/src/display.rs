//! How values show themselves in a cell: the one place that knows evcxr.
//!
//! evcxr calls `evcxr_display` on the last expression of a cell, and reads marked blocks from stdout. A cell
//! keeps one block of each MIME type, so a figure is one block; blocks of two types are alternatives.

use std::fmt;

use candle_core::utils::get_num_threads;

use crate::plot::Figure;

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
    /// Shows the picture.
    pub fn evcxr_display(&self) {
        show(&[("text/html", &self.html())]);
    }
}

/// A table for a cell: HTML, and aligned text where HTML is not shown. Columns of numbers align right.
///
/// ```
/// use digit_gan::display::Table;
/// let table = Table {
///     caption: "generator".into(),
///     header: vec!["layer".into(), "parameters".into()],
///     rows: vec![vec!["dense 256".into(), "25,856".into()]],
///     footer: vec!["25,856 parameters".into()],
/// };
/// assert_eq!(
///     table.to_string(),
///     "generator\nlayer      parameters\n---------------------\ndense 256      25,856\n---------------------\n25,856 parameters"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub caption: String,
    pub header: Vec<String>,
    /// Cells, one per header; missing ones stay empty.
    pub rows: Vec<Vec<String>>,
    /// Lines under the table.
    pub footer: Vec<String>,
}

impl Table {
    /// A `<table>` with caption, head, body and foot; the cells' text is escaped.
    pub fn html(&self) -> String {
        let row = |tag: &str, cells: &[String]| {
            let cells: String = (0..self.header.len())
                .map(|column| {
                    let side = if self.is_numeric(column) {
                        "right"
                    } else {
                        "left"
                    };
                    let text = escape(cells.get(column).map_or("", String::as_str));
                    format!("<{tag} style=\"text-align: {side}\">{text}</{tag}>")
                })
                .collect();
            format!("<tr>{cells}</tr>")
        };
        let body: String = self.rows.iter().map(|cells| row("td", cells)).collect();
        let width = self.header.len();
        let foot: String = self
            .footer
            .iter()
            .map(|line| {
                let line = escape(line);
                format!("<tr><td colspan=\"{width}\" style=\"text-align: left\">{line}</td></tr>")
            })
            .collect();
        format!(
            "<table><caption style=\"text-align: left\"><b>{}</b></caption>\
             <thead>{}</thead><tbody>{body}</tbody><tfoot>{foot}</tfoot></table>",
            escape(&self.caption),
            row("th", &self.header)
        )
    }

    /// Shows the table.
    pub fn evcxr_display(&self) {
        show(&[
            ("text/html", &self.html()),
            ("text/plain", &self.to_string()),
        ]);
    }

    fn is_numeric(&self, column: usize) -> bool {
        let mut cells = self
            .rows
            .iter()
            .filter_map(|row| row.get(column))
            .peekable();
        let is_number = |cell: &String| {
            let digits = cell.replace(',', "");
            digits.is_empty() || digits.parse::<f64>().is_ok()
        };
        cells.peek().is_some() && cells.all(is_number)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let widths: Vec<usize> = (0..self.header.len())
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                let widest = cells
                    .chain([&self.header[column]])
                    .map(|cell| cell.chars().count());
                widest.max().unwrap_or(0)
            })
            .collect();
        let line = |cells: &[String]| {
            let cells: Vec<String> = (0..self.header.len())
                .map(|column| {
                    let (text, width) = (cells.get(column).map_or("", |cell| cell), widths[column]);
                    match self.is_numeric(column) {
                        true => format!("{text:>width$}"),
                        false => format!("{text:<width$}"),
                    }
                })
                .collect();
            cells.join("  ").trim_end().to_string()
        };
        let rule = "-".repeat(widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1));
        let body = self.rows.iter().map(|cells| line(cells));
        let lines: Vec<String> = [self.caption.clone(), line(&self.header), rule.clone()]
            .into_iter()
            .chain(body)
            .chain([rule])
            .chain(self.footer.iter().cloned())
            .collect();
        f.write_str(&lines.join("\n"))
    }
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
