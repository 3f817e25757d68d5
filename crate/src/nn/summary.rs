//! The table of a network's layers.

use std::fmt;

use super::variable::Variable;
use super::{Layer, Network};
use crate::display::{Content, Show, evcxr_display, html_table};

/// What [`Network::summary`] returns: shows itself in a cell and prints as text.
pub struct Summary {
    /// The network's name.
    pub name: String,
    /// The shape of one input.
    pub input: Vec<usize>,
    /// One for each layer.
    pub rows: Vec<Row>,
}

/// One layer of a [`Summary`].
pub struct Row {
    /// The layer with the settings that shape its output: `conv2d 64, 5x5, stride 2`.
    pub layer: String,
    /// The shape of one output.
    pub output: Vec<usize>,
    /// Parameters that training moves by their gradient.
    pub trainable: usize,
    /// Running statistics.
    pub other: usize,
}

impl Network {
    /// A table of the layers with output shapes and numbers of parameters, as Keras prints it.
    pub fn summary(&self) -> Summary {
        let layers = self.config.layers.iter().zip(&self.outputs).enumerate();
        let row = |(i, (layer, output)): (usize, (&Layer, &Vec<usize>))| {
            let count = |trainable| {
                let own = self
                    .layout
                    .of_kind(trainable)
                    .filter(|variable| variable.layer == i);
                own.map(Variable::len).sum()
            };
            Row {
                layer: layer.kind().summary(),
                output: output.clone(),
                trainable: count(true),
                other: count(false),
            }
        };
        Summary {
            name: self.config.name.clone(),
            input: self.config.input.clone(),
            rows: layers.map(row).collect(),
        }
    }
}

impl Summary {
    /// The number of parameters that training moves.
    pub fn trainable(&self) -> usize {
        self.rows.iter().map(|row| row.trainable).sum()
    }

    /// The number of running statistics.
    pub fn other(&self) -> usize {
        self.rows.iter().map(|row| row.other).sum()
    }

    /// The title and the sentence under the table.
    fn caption(&self) -> (String, String) {
        let title = format!("{}: input {:?}", self.name, self.input);
        let total = thousands(self.trainable() + self.other());
        let footer = match self.other() {
            0 => format!("{total} parameters, all trainable"),
            other => format!(
                "{total} parameters: {} trainable, {} running statistics",
                thousands(self.trainable()),
                thousands(other)
            ),
        };
        (title, footer)
    }

    /// The cells of the table: layer, output shape, parameters.
    fn cells(&self) -> Vec<[String; 3]> {
        let cells = |row: &Row| {
            let parameters = thousands(row.trainable + row.other);
            [row.layer.clone(), format!("{:?}", row.output), parameters]
        };
        self.rows.iter().map(cells).collect()
    }

    const HEADER: [&str; 3] = ["layer", "output", "parameters"];
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let ((title, footer), cells) = (self.caption(), self.cells());
        let header = Self::HEADER.map(String::from);
        let width = |i: usize| {
            let lengths = cells.iter().chain([&header]).map(|row| row[i].len());
            lengths.max().unwrap_or(0)
        };
        let (a, b, c) = (width(0), width(1), width(2));
        writeln!(f, "{title}")?;
        for [layer, output, parameters] in [header].iter().chain(&cells) {
            writeln!(f, "{layer:<a$}  {output:<b$}  {parameters:>c$}")?;
        }
        write!(f, "{footer}")
    }
}

impl Show for Summary {
    fn content(&self) -> Content {
        let (caption, footer) = self.caption();
        let table = html_table(&caption, &Self::HEADER, &self.cells(), 2..3, &footer);
        Content::text(self.to_string()).with_html(table)
    }
}

evcxr_display!(Summary);

/// 1493520 as 1 493 520.
fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().collect();
    let groups = groups.iter().map(|group| String::from_utf8_lossy(group));
    groups.collect::<Vec<_>>().join(" ")
}
