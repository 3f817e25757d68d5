//! From layers to the steps of a fast plan.

use super::Layer;
use super::network::Variable;
use crate::ops::{Conv, Plan, Size, Step};

/// The plan of a network whose layers, shapes and variables have been checked.
pub(super) fn compile(
    layers: &[Layer],
    input: &[usize],
    outputs: &[Vec<usize>],
    variables: &[Variable],
) -> Plan {
    let mut compiler = Compiler {
        steps: Vec::new(),
        sizes: vec![input.iter().product()],
        shape: input.to_vec(),
        pixels_first: false,
    };
    for (i, (layer, output)) in layers.iter().zip(outputs).enumerate() {
        let offset = |role: &str| {
            let named = |v: &&Variable| v.layer == i && v.role == role;
            variables.iter().find(named).map(|v| v.offset)
        };
        compiler.layer(layer, output, offset);
    }
    compiler.order(false);
    Plan::new(compiler.steps, compiler.sizes)
}

struct Compiler {
    steps: Vec<Step>,
    /// Values per sample in front of the first step and after each.
    sizes: Vec<usize>,
    /// The shape of a sample so far.
    shape: Vec<usize>,
    /// Whether rows are (pixel, channel), as convolutions and norms want them, or (channel, pixel), as candle has them.
    pixels_first: bool,
}

impl Compiler {
    fn layer(&mut self, layer: &Layer, output: &[usize], offset: impl Fn(&str) -> Option<usize>) {
        let weighted = |conv, up| Step::Weighted {
            conv,
            up,
            weight: offset("weight").expect("a weighted layer has weights"),
            bias: offset("bias"),
            slope: 1.,
        };
        match *layer {
            Layer::Dense { .. } => {
                let one = |c| Size { h: 1, w: 1, c };
                let (big, small) = (one(self.shape[0]), one(output[0]));
                let conv = Conv {
                    big,
                    small,
                    kernel: 1,
                    stride: 1,
                    padding: 0,
                };
                self.push(weighted(conv, false), output);
            }
            Layer::Conv2d {
                kernel,
                stride,
                padding,
                ..
            }
            | Layer::ConvTranspose2d {
                kernel,
                stride,
                padding,
                ..
            } => {
                self.order(true);
                let up = matches!(layer, Layer::ConvTranspose2d { .. });
                let (input, output_size) = (size(&self.shape), size(output));
                let (big, small) = if up {
                    (output_size, input)
                } else {
                    (input, output_size)
                };
                let conv = Conv {
                    big,
                    small,
                    kernel,
                    stride,
                    padding,
                };
                self.push(weighted(conv, up), output);
            }
            Layer::BatchNorm { momentum, epsilon } => {
                self.order(true);
                let step = Step::Norm {
                    channels: self.shape[0],
                    gamma: offset("gamma").expect("it has one"),
                    state: offset("running_mean").expect("it has one"),
                    momentum: momentum as f32,
                    epsilon,
                    slope: 1.,
                };
                self.push(step, output);
            }
            Layer::LeakyRelu { slope: new } => match self.steps.last_mut() {
                Some(Step::Weighted { slope, .. } | Step::Norm { slope, .. }) if *slope == 1. => {
                    *slope = new as f32
                }
                _ => self.push(Step::LeakyRelu { slope: new as f32 }, output),
            },
            Layer::Tanh => self.push(Step::Tanh, output),
            Layer::Dropout { rate } => self.push(Step::Dropout { rate }, output),
            Layer::Reshape { .. } | Layer::Flatten => {
                self.order(false);
                self.shape = output.to_vec();
            }
        }
    }

    fn push(&mut self, step: Step, output: &[usize]) {
        self.steps.push(step);
        self.shape = output.to_vec();
        self.sizes.push(output.iter().product());
    }

    fn order(&mut self, pixels_first: bool) {
        let (channels, pixels) = (self.shape[0], self.shape[1..].iter().product());
        if self.pixels_first != pixels_first && channels > 1 && pixels > 1 {
            let (a, b) = if pixels_first {
                (channels, pixels)
            } else {
                (pixels, channels)
            };
            let shape = self.shape.clone();
            self.push(Step::Swap { a, b }, &shape);
        }
        self.pixels_first = pixels_first;
    }
}

fn size(shape: &[usize]) -> Size {
    let &[c, h, w] = shape else {
        unreachable!("convolutions take images: checked by Layer::output")
    };
    Size { h, w, c }
}
