//! The metrics of generators as a table.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::{Classes, Copies, Kid, Prdc, Tstr};
use crate::display::{Content, Show, evcxr_display, html_table};
use crate::{Error, Result};

/// All metrics of one generator, made by [`Evaluation::report`](super::Evaluation::report). Shows itself in a cell and
/// prints as text, with the values of real digits beside.
#[derive(Clone, Debug)]
pub struct Report {
    /// What the generator is called.
    pub name: String,
    /// How many samples were measured.
    pub samples: usize,
    /// The fraction of test digits that the judge names right.
    pub judge_accuracy: f64,
    /// [`Gaussian::distance`](super::Gaussian::distance).
    pub frechet: f64,
    /// [`kid`](super::kid()).
    pub kid: Kid,
    /// Precision, recall, density and coverage.
    pub prdc: Prdc,
    /// Coverage of the test digits of each class alone: a class that the generator has forgotten stands out. NaN for
    /// a class without test digits.
    pub coverage_by_class: Vec<f64>,
    /// [`Classes::divergence`] from the reference.
    pub divergence: f64,
    /// Which classes the samples are of.
    pub classes: Classes,
    /// [`class_accuracy`](super::class_accuracy), where classes were asked for.
    pub class_accuracy: Option<f64>,
    /// What a classifier learns from the generator, where it was measured: [`Report::with_tstr`].
    pub tstr: Option<Tstr>,
    /// Whether samples are copies in the judge's features.
    pub in_features: Copies,
    /// Whether samples are copies pixel by pixel.
    pub in_pixels: Copies,
    /// What real digits reach; none for their own report.
    pub floor: Option<Arc<Report>>,
}

/// Reports side by side, made by [`Report::compare`].
#[derive(Clone, Debug)]
pub struct Comparison {
    /// At least one.
    pub reports: Vec<Report>,
}

/// A line of the table: the metric, a report's cell, and which way is better.
type Row = (&'static str, fn(&Report) -> Option<String>, &'static str);

const ROWS: [Row; 15] = [
    ("Fréchet distance", |r| fixed(r.frechet, 2), "lower"),
    (
        "kernel distance (KID)",
        |r| Some(with_error(r.kid)),
        "lower",
    ),
    ("precision", |r| fixed(r.prdc.precision, 3), "higher"),
    ("recall", |r| fixed(r.prdc.recall, 3), "higher"),
    ("density", |r| fixed(r.prdc.density, 3), "higher"),
    ("coverage", |r| fixed(r.prdc.coverage, 3), "higher"),
    ("coverage of the worst class", worst_class, "higher"),
    ("divergence of classes", |r| fixed(r.divergence, 4), "lower"),
    (
        "judge's confidence",
        |r| percent(r.classes.confidence),
        "higher",
    ),
    (
        "class accuracy",
        |r| r.class_accuracy.and_then(percent),
        "higher",
    ),
    (
        "train on generated, test on real",
        |r| Some(format!("{:.2}%", 100. * r.tstr.as_ref()?.accuracy)),
        "higher",
    ),
    (
        NEAR_FEATURES,
        |r| fixed(r.in_features.ratio(), 2),
        "about 1",
    ),
    (COPIES_FEATURES, |r| percent(r.in_features.near), "about 1%"),
    (NEAR_PIXELS, |r| fixed(r.in_pixels.ratio(), 2), "about 1"),
    (COPIES_PIXELS, |r| percent(r.in_pixels.near), "about 1%"),
];
const NEAR_FEATURES: &str = "distance to training digits, features";
const COPIES_FEATURES: &str = "suspiciously near, features";
const NEAR_PIXELS: &str = "distance to training digits, pixels";
const COPIES_PIXELS: &str = "suspiciously near, pixels";

impl Report {
    /// The same with what a classifier has learned from the generator; see
    /// [`Evaluation::tstr`](super::Evaluation::tstr).
    pub fn with_tstr(self, tstr: Tstr) -> Self {
        let tstr = Some(tstr);
        Report { tstr, ..self }
    }

    /// Several generators in one table.
    ///
    /// # Errors
    /// [`Error::Value`] for no reports, or reports of different evaluations: their figures do not compare.
    pub fn compare(reports: &[Report]) -> Result<Comparison> {
        let Some(first) = reports.first() else {
            return Err(Error::Value("compare: expected at least one report".into()));
        };
        let same = |other: &Report| match (&first.floor, &other.floor) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        if let Some(other) = reports.iter().find(|other| !same(other)) {
            return Err(Error::Value(format!(
                "compare: {} and {} come from different evaluations, so their figures do not compare; make all \
                 reports with one Evaluation",
                first.name, other.name
            )));
        }
        Ok(Comparison {
            reports: reports.to_vec(),
        })
    }

    /// The table for a page in Markdown.
    pub(crate) fn markdown(&self) -> String {
        let table = self.table();
        let ((title, footer), numbers) = (table.caption(), table.numbers());
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let header = table.header();
        let side = |i: usize| if numbers.contains(&i) { "---:" } else { "---" };
        let sides: Vec<String> = (0..header.len()).map(|i| side(i).into()).collect();
        let rows: String = table.cells().iter().map(|cells| line(cells)).collect();
        format!(
            "{title}.\n\n{}{}{rows}\n{footer}",
            line(&header),
            line(&sides)
        )
    }

    fn table(&self) -> Comparison {
        Comparison {
            reports: vec![self.clone()],
        }
    }
}

impl Comparison {
    /// The title and the sentences under the table.
    fn caption(&self) -> (String, String) {
        let first = &self.reports[0];
        let title = format!(
            "{} samples, seen by a judge that names {:.2}% of the test digits right",
            first.samples,
            100. * first.judge_accuracy
        );
        let footer = "Real digits: as many training digits in place of samples; for the distances to training digits \
                      held-out ones, whose median distance is 1 and of which 1% are suspiciously near.";
        (title, footer.into())
    }

    /// Real digits come last: those of the floor.
    fn columns(&self) -> impl Iterator<Item = &Report> {
        self.reports.iter().chain(self.reports[0].floor.as_deref())
    }

    fn header(&self) -> Vec<String> {
        let names = self.reports.iter().map(|report| report.name.as_str());
        let floor = self.reports[0].floor.iter().map(|_| "real digits");
        let all = ["metric"].into_iter().chain(names).chain(floor);
        all.chain(["better"]).map(String::from).collect()
    }

    /// The cells of the table: a row for each metric that a generator has.
    fn cells(&self) -> Vec<Vec<String>> {
        let rows = ROWS.iter().filter_map(|(metric, cell, better)| {
            self.reports.iter().find_map(cell)?;
            let cells = self
                .columns()
                .map(|report| cell(report).unwrap_or_default());
            let row = [metric.to_string()].into_iter().chain(cells);
            Some(row.chain([better.to_string()]).collect())
        });
        rows.collect()
    }

    /// The columns that hold numbers.
    fn numbers(&self) -> Range<usize> {
        1..1 + self.columns().count()
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let ((title, footer), numbers) = (self.caption(), self.numbers());
        let mut rows = vec![self.header()];
        rows.extend(self.cells());
        let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).max();
        let widths: Vec<usize> = (0..=numbers.end).filter_map(width).collect();
        writeln!(f, "{title}")?;
        for row in &rows {
            let mut line = String::new();
            for (i, (cell, width)) in row.iter().zip(&widths).enumerate() {
                line += &match numbers.contains(&i) {
                    true => format!("{cell:>width$}  "),
                    false => format!("{cell:<width$}  "),
                };
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        write!(f, "{footer}")
    }
}

impl Show for Comparison {
    fn content(&self) -> Content {
        let ((caption, footer), header) = (self.caption(), self.header());
        let table = html_table(&caption, &header, &self.cells(), self.numbers(), &footer);
        Content::text(self.to_string()).with_html(table)
    }
}

impl Show for Report {
    fn content(&self) -> Content {
        self.table().content()
    }
}

evcxr_display!(Comparison, Report);

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(&self.table(), f)
    }
}

/// "0.81 (8)": the least coverage of a class, and which class it is.
fn worst_class(report: &Report) -> Option<String> {
    let classes = report
        .coverage_by_class
        .iter()
        .zip(report.classes.names.iter());
    let (coverage, name) = classes.min_by(|a, b| a.0.total_cmp(b.0))?;
    Some(format!("{coverage:.3} ({name})"))
}

fn fixed(value: f64, digits: usize) -> Option<String> {
    Some(format!("{value:.digits$}"))
}

fn percent(fraction: f64) -> Option<String> {
    Some(format!("{:.1}%", 100. * fraction))
}

fn with_error(distance: Kid) -> String {
    format!("{:.2} ± {:.2}", distance.value, distance.standard_error)
}
