//! Batch normalisation (Ioffe and Szegedy 2015, <https://arxiv.org/abs/1502.03167>).

use candle_core::{D, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::variables::{Init, Spec};
use super::weighted::per_channel;
use super::{Kind, Output, Pass, PiecewiseLinear};
use crate::Error;
use crate::nn::Sequential;
use crate::nn::export::{Module, Node, keyword};
use crate::nn::formula::Formula;
use crate::ops::norm::{self, Moments};
use crate::ops::{
    At, Backward, Buffer, Builder, Forward, Gradient, Kept, Shared, Statistics, Step,
};
use crate::profile::Part;

/// Batch normalisation per channel, the first dimension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchNorm {
    /// The fraction of the old running statistics that is kept at each training step.
    pub momentum: f64,
    /// Added to the variance.
    pub epsilon: f64,
}

impl Sequential {
    /// Batch normalisation per channel. `momentum` is Keras's: the fraction of the old running statistics that
    /// is kept at each step (PyTorch's momentum is 1 minus this).
    pub fn batch_norm(self, momentum: f64) -> Self {
        let epsilon = 1e-5;
        self.layer(BatchNorm { momentum, epsilon })
    }
}

impl Kind for BatchNorm {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let BatchNorm { momentum, epsilon } = *self;
        match (0. ..=1.).contains(&momentum) && epsilon > 0. {
            true => Ok(input.to_vec()),
            false => Err(format!(
                "momentum {momentum} must be from 0 to 1 and epsilon {epsilon} positive"
            )),
        }
    }

    fn variables(&self, input: &[usize]) -> Vec<Spec> {
        let c = &input[..1];
        vec![
            Spec::new("gamma", c, Init::Ones),
            Spec::new("beta", c, Init::Zeros),
            Spec::new("running_mean", c, Init::Zeros).statistic(),
            Spec::new("running_variance", c, Init::Ones).statistic(),
        ]
    }

    fn reference(&self, x: &Tensor, vars: &[Tensor], pass: &Pass) -> candle_core::Result<Output> {
        let [gamma, beta, old_mean, old_variance] = vars else {
            unreachable!("it has four variables")
        };
        if pass.statistics == Statistics::Running {
            return Ok(self
                .normalise(x, [gamma, beta, old_mean, old_variance])?
                .into());
        }
        let rows = x.transpose(0, 1)?.flatten_from(1)?; // (channels, values)
        let mean = rows.mean(D::Minus1)?;
        let centred = rows.broadcast_sub(&mean.unsqueeze(1)?)?;
        let variance = centred.sqr()?.mean(D::Minus1)?;
        let y = self.normalise(x, [gamma, beta, &mean, &variance])?;
        let count = rows.dim(1)? as f64;
        let unbiased = (variance.detach() * (count / (count - 1.).max(1.)))?;
        let moved =
            |old: &Tensor, new: Tensor| (old * self.momentum)? + (new * (1. - self.momentum))?;
        Ok(Output {
            statistics: vec![
                moved(old_mean, mean.detach())?,
                moved(old_variance, unbiased)?,
            ],
            ..y.into()
        })
    }

    fn piecewise_linear(&self) -> Result<&dyn PiecewiseLinear, &'static str> {
        Err(
            "batch normalisation couples the samples of a batch, so that no sample has a \
             gradient of its own: leave it out (leaky_relu alone trains well under a penalty)",
        )
    }

    fn in_pytorch(&self, input: &[usize], vars: &[Tensor]) -> candle_core::Result<Vec<Module>> {
        let dimensions = match input.len() {
            1 | 2 => 1,
            rank @ (3 | 4) => rank - 1,
            _ => {
                let most = "PyTorch has batch normalisation of samples of up to 4 dimensions";
                return Err(
                    Error::Shape(format!("export_pytorch: {most}, not of {input:?}")).into(),
                );
            }
        };
        // 1 - 0.9 is 0.1, and not 0.09999999999999998.
        let momentum = ((1. - self.momentum) * 1e12).round() / 1e12;
        let momentum = keyword("momentum", momentum, 0.1);
        let epsilon = keyword("eps", self.epsilon, 1e-5);
        let code = format!("BatchNorm{dimensions}d({}{momentum}{epsilon})", input[0]);
        let names = ["weight", "bias", "running_mean", "running_var"].into_iter();
        let module = names
            .zip(vars)
            .fold(Module::new(code), |module, (name, values)| {
                module.with(name, values.clone())
            });
        let batches = Tensor::new(0i64, &Device::Cpu)?;
        Ok(vec![module.with("num_batches_tracked", batches)])
    }

    fn in_onnx(&self, _: &[usize], vars: &[Tensor]) -> candle_core::Result<Vec<Node>> {
        let node = Node::new("BatchNormalization").float("epsilon", self.epsilon);
        let names = ["scale", "bias", "mean", "variance"].into_iter();
        let node = names.zip(vars).fold(node, |node, (name, values)| {
            node.input(name, values.clone())
        });
        Ok(vec![node])
    }

    fn formula(&self) -> Formula {
        Formula::BatchNorm {
            epsilon: self.epsilon,
        }
    }

    fn compile(&self, plan: &mut Builder, offsets: &[usize], output: &[usize]) {
        plan.pixels_first(true);
        let step = Norm {
            channels: output[0],
            gamma: offsets[0],
            statistics: offsets[2],
            momentum: self.momentum as f32,
            epsilon: self.epsilon,
            slope: 1.,
        };
        plan.push(step, output);
    }
}

impl BatchNorm {
    /// What each channel is multiplied by, and what is added then.
    pub(in crate::nn) fn scale_and_shift(
        &self,
        [gamma, beta, mean, variance]: [&Tensor; 4],
    ) -> candle_core::Result<[Tensor; 2]> {
        let scale = (gamma / (variance + self.epsilon)?.sqrt()?)?;
        let shift = (beta - (mean * &scale)?)?;
        Ok([scale, shift])
    }

    fn normalise(&self, x: &Tensor, variables: [&Tensor; 4]) -> candle_core::Result<Tensor> {
        let [scale, shift] = self.scale_and_shift(variables)?;
        let shape = per_channel(x)?;
        x.broadcast_mul(&scale.reshape(shape.as_slice())?)?
            .broadcast_add(&shift.reshape(shape.as_slice())?)
    }
}

/// A normalisation with the activation behind it.
struct Norm {
    channels: usize,
    /// beta lies behind it.
    gamma: usize,
    /// The running mean; the variance lies behind it.
    statistics: usize,
    momentum: f32,
    epsilon: f64,
    /// 1 is no activation.
    slope: f32,
}

impl Norm {
    /// gamma and beta.
    fn affine<'a>(&self, parameters: &'a [f32]) -> [&'a [f32]; 2] {
        [self.gamma, self.gamma + self.channels].map(|at| &parameters[at..][..self.channels])
    }

    fn moments(&self, pass: &Forward, x: &[f32]) -> Vec<Moments> {
        let running = &pass.state[self.statistics..];
        match pass.statistics {
            Statistics::Running => (0..self.channels)
                .map(|c| Moments::new(running[c], running[self.channels + c], self.epsilon))
                .collect(),
            Statistics::Batch | Statistics::BatchAndUpdate => {
                norm::moments(x, self.channels, pass.n, self.epsilon)
            }
        }
    }

    fn move_running(&self, pass: &mut Forward, moments: &[Moments], count: f32) {
        let running = &mut pass.state[self.statistics..];
        // The running variance is that of the population: n / (n - 1) of the batch's.
        let unbiased = count / (count - 1.).max(1.);
        for (c, moments) in moments.iter().enumerate() {
            let variance = moments.variance * unbiased;
            for (at, new) in [(c, moments.mean), (self.channels + c, variance)] {
                running[at] = self.momentum * running[at] + (1. - self.momentum) * new;
            }
        }
    }
}

impl Step for Norm {
    fn part(&self) -> Part {
        Part::Norms
    }

    fn slope(&mut self) -> Option<&mut f32> {
        Some(&mut self.slope)
    }

    fn forward(&self, pass: &mut Forward, x: &[f32], y: &mut [f32]) -> Kept {
        let moments = self.moments(pass, x);
        if pass.statistics == Statistics::BatchAndUpdate {
            self.move_running(pass, &moments, (x.len() / self.channels) as f32);
        }
        let affine = self.affine(pass.parameters);
        norm::forward(x, &moments, affine, self.slope, y, pass.n);
        Some(Box::new(moments))
    }

    fn backward(&self, pass: &mut Backward, at: At, mut d: Buffer) -> Option<Buffer> {
        let moments = at.kept::<Vec<Moments>>().expect("kept by `forward`");
        let affine = self.affine(pass.parameters);
        let sums = norm::parameters(at.x, &mut d, moments, affine, self.slope, pass.n);
        if let Some(Gradient { row, add, .. }) = &mut pass.gradient {
            for (c, [product, sum]) in sums.iter().enumerate() {
                let places = [self.gamma + c, self.gamma + self.channels + c];
                for (at, new) in places.into_iter().zip([product, sum]) {
                    row[at] = if *add { row[at] + new } else { *new };
                }
            }
        }
        let sums = (pass.statistics != Statistics::Running).then_some(&sums[..]);
        norm::backward(at.x, &mut d, moments, affine[0], sums, pass.n);
        Some(d)
    }

    fn tangent(&self, _: &mut Backward, _: At, _: Option<&Shared>, _: Buffer) -> Buffer {
        unreachable!("not piecewise linear")
    }
}
