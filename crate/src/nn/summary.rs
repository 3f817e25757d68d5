//! The table of a network's layers.

use super::Layer;

/// What [`Network::summary`](super::Network::summary) returns: shows itself in a cell and prints as text.
pub struct Summary {
    pub name: String,
    /// The shape of one input.
    pub input: Vec<usize>,
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

impl Summary {
    pub(super) fn new<'a>(
        name: &str,
        input: &[usize],
        rows: impl Iterator<Item = (&'a Layer, &'a [usize], usize, usize)>,
    ) -> Self {
        let row = |(layer, output, trainable, other): (&Layer, &[usize], _, _)| Row {
            layer: describe(layer),
            output: output.to_vec(),
            trainable,
            other,
        };
        Summary {
            name: name.into(),
            input: input.to_vec(),
            rows: rows.map(row).collect(),
        }
    }

    /// The number of parameters that training moves.
    pub fn trainable(&self) -> usize {
        self.rows.iter().map(|row| row.trainable).sum()
    }

    /// The number of running statistics.
    pub fn other(&self) -> usize {
        self.rows.iter().map(|row| row.other).sum()
    }
}

fn describe(layer: &Layer) -> String {
    let without = |bias: bool| if bias { "" } else { ", no bias" };
    match *layer {
        Layer::Conv2d {
            channels,
            kernel: k,
            stride,
            bias,
            ..
        }
        | Layer::ConvTranspose2d {
            channels,
            kernel: k,
            stride,
            bias,
            ..
        } => {
            let name = layer.name();
            format!(
                "{name} {channels}, {k}x{k}, stride {stride}{}",
                without(bias)
            )
        }
        Layer::Dense { units, bias } => format!("dense {units}{}", without(bias)),
        Layer::LeakyRelu { slope } => format!("leaky_relu {slope}"),
        Layer::Dropout { rate } => format!("dropout {rate}"),
        _ => layer.name().into(),
    }
}
