//! The layers, one to a file: what each does to a shape, which variables it has, and how it computes, once in candle's
//! ops and once fast.
//!
//! A new layer is such a file, which implements [`Kind`], and its lines here.

mod batch_norm;
mod conv2d;
mod conv_transpose2d;
mod dense;
mod dropout;
mod flatten;
mod leaky_relu;
mod max_pool2d;
mod padding;
mod relu;
mod reshape;
mod tanh;
mod upsample2d;
mod variables;
mod weighted;

pub use batch_norm::BatchNorm;
pub use conv_transpose2d::ConvTranspose2d;
pub use conv2d::Conv2d;
pub use dense::Dense;
pub use dropout::Dropout;
pub use leaky_relu::LeakyRelu;
pub use max_pool2d::MaxPool2d;
pub use padding::Padding;
pub use reshape::Reshape;
pub use upsample2d::Upsample2d;

pub(super) use variables::Spec;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::export::{Module, Node};
use super::formula::Formula;
use crate::ops::{Builder, Statistics};
use crate::rng::Rng;

/// The layers with settings, which are structs of the same name, and those without.
macro_rules! layers {
    (settings: $($Set:ident),*; no settings: $($module:ident::$Plain:ident),*;) => {
        /// One layer of a [`Sequential`](super::Sequential) network.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Layer {
            $(#[doc = concat!("See [`struct@", stringify!($Set), "`].")] $Set($Set),)*
            $(#[doc = concat!("See [`Sequential::", stringify!($module), "`](super::Sequential::", stringify!($module), ").")] $Plain,)*
        }

        impl Layer {
            pub(super) fn kind(&self) -> &dyn Kind {
                match self {
                    $(Layer::$Set(layer) => layer,)*
                    $(Layer::$Plain => &$module::$Plain,)*
                }
            }
        }

        $(impl From<$Set> for Layer {
            fn from(layer: $Set) -> Layer {
                Layer::$Set(layer)
            }
        })*
    };
}
layers! {
    settings: Dense, Conv2d, ConvTranspose2d, BatchNorm, LeakyRelu, Dropout, Reshape, Upsample2d, MaxPool2d;
    no settings: relu::Relu, tanh::Tanh, flatten::Flatten;
}

/// What a layer must know. Nothing has a default that could make a forgotten answer a wrong result.
pub(super) trait Kind {
    /// The name that summaries and files use.
    fn name(&self) -> &'static str;

    /// The layer with the settings that shape its output, as a row of a summary has it.
    fn summary(&self) -> String {
        self.name().into()
    }

    /// The shape of one output for one input, which has at least one dimension and none of 0, or the reason why there is
    /// none. Sizes that are given are bounded by [`size`], so that sums and products of a few cannot overflow.
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String>;

    /// The variables for one input shape, which [`Kind::output`] has accepted.
    fn variables(&self, _input: &[usize]) -> Vec<Spec> {
        Vec::new()
    }

    /// The same without its bias; none if there is no such layer.
    fn without_bias(&self) -> Option<Layer> {
        None
    }

    /// The output for a batch in candle's own ops: for any device, and what the fast path is tested against. `vars` are
    /// those of [`Kind::variables`], in that order.
    fn reference(&self, x: &Tensor, vars: &[Tensor], pass: &Pass) -> candle_core::Result<Output>;

    /// What the layer computes for one sample of a finished network: with running statistics, and without dropout. Its numbers
    /// are those of [`Kind::variables`], in that order.
    fn formula(&self) -> Formula;

    /// The same with a bias, and the axis of its weights that counts output channels; none if it has no weights.
    fn with_bias(&self) -> Option<(Layer, usize)> {
        None
    }

    /// How the gradient passes the layer, if the output is a piecewise linear function of each sample alone; otherwise
    /// the reason why it is not, and what to do about it. A penalty on the input gradient is exact only for such layers.
    fn piecewise_linear(&self) -> Result<&dyn PiecewiseLinear, &'static str>;

    /// The modules of a `torch.nn.Sequential` that compute the same in `eval()`, given the input shape and the variables.
    fn in_pytorch(&self, input: &[usize], vars: &[Tensor]) -> candle_core::Result<Vec<Module>>;

    /// ONNX's operators that compute what the finished layer does.
    #[cfg_attr(not(feature = "onnx"), expect(dead_code))]
    fn in_onnx(&self, input: &[usize], vars: &[Tensor]) -> candle_core::Result<Vec<Node>>;

    /// Adds the steps that compute the layer fast. `offsets` are those of the variables, in their order.
    fn compile(&self, plan: &mut Builder, offsets: &[usize], output: &[usize]);
}

/// See [`Kind::piecewise_linear`].
pub(super) trait PiecewiseLinear {
    /// The gradient of the input from `d`, that of the output: differentiable in `d` and in the variables.
    fn input_gradient(&self, at: &Traced, d: &Tensor) -> candle_core::Result<Tensor>;
}

/// A layer's forward pass: its input, its variables, and what its input was multiplied by, if that was random.
pub(super) struct Traced {
    pub x: Tensor,
    pub vars: Vec<Tensor>,
    pub mask: Option<Tensor>,
}

/// What [`Kind::reference`] is given beside its input.
pub(super) struct Pass<'a> {
    pub statistics: Statistics,
    pub rng: &'a Rng,
}

/// What [`Kind::reference`] computes.
pub(super) struct Output {
    pub y: Tensor,
    /// New values of the running statistics, in the order of the variables; none if they stay.
    pub statistics: Vec<Tensor>,
    /// What the input was multiplied by, if that was random.
    pub mask: Option<Tensor>,
}

impl From<Tensor> for Output {
    fn from(y: Tensor) -> Self {
        Output {
            y,
            statistics: Vec::new(),
            mask: None,
        }
    }
}

/// The most units, channels, or pixels along a side: together with [`MAX_VALUES`] it keeps products of sizes from
/// overflowing, and refuses what no memory holds, as a damaged or malicious file may have it.
pub(super) const MAX_SIZE: usize = 1 << 15;
/// The most values in one output of a layer, and in all variables of a network together: 64 times what the largest of
/// our networks has.
pub(super) const MAX_VALUES: usize = 1 << 29;

impl Layer {
    /// The shape of one output, of a bounded number of values.
    pub(super) fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let output = self.kind().output(input)?;
        match values(&output).filter(|&n| n <= MAX_VALUES) {
            Some(_) => Ok(output),
            None => Err(format!(
                "{output:?} are too many values: {MAX_VALUES} is the most"
            )),
        }
    }
}

/// The number of values in a shape, unless it is beyond all numbers.
pub(super) fn values(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1, |n: usize, &size| n.checked_mul(size))
}

/// Refuses a size beyond those that a layer may have.
pub(super) fn bounded(size: usize) -> Result<usize, String> {
    match size {
        0..=MAX_SIZE => Ok(size),
        _ => Err(format!("a size of {size}; {MAX_SIZE} is the most")),
    }
}

/// Refuses a size of 0, and one beyond those that a layer may have.
fn size(name: &str, size: usize) -> Result<usize, String> {
    match bounded(size)? {
        0 => Err(format!("{name} must be at least 1")),
        _ => Ok(size),
    }
}

fn image(input: &[usize]) -> Result<[usize; 3], String> {
    input
        .try_into()
        .map_err(|_| "needs images of shape [channels, height, width]".into())
}
