//! The same networks and step with candle-nn's plain layers, loss and optimizer.

use digit_gan::candle::{DType, Device, Module as _, ModuleT as _, Result, Tensor, Var};
use digit_gan::candle_nn::loss::binary_cross_entropy_with_logit;
use digit_gan::candle_nn::{self as nn, Optimizer as _, VarBuilder, VarMap};
use digit_gan::nn::{
    BatchNorm, Conv2d, ConvTranspose2d, Dense, Dropout, Layer, LeakyRelu, Padding, Reshape,
    Sequential,
};
use digit_gan::rng::Rng;

use crate::peer::{self, Peer};
use crate::workloads::{LATENT, Workload};

enum Module {
    Linear(nn::Linear),
    Conv(nn::Conv2d),
    Up(nn::ConvTranspose2d),
    Norm(nn::BatchNorm),
    Other(Layer),
}

struct Network {
    modules: Vec<Module>,
    parameters: Vec<Var>,
}

impl Network {
    fn new(description: &Sequential) -> peer::Result<Self> {
        let summary = description.build(&Rng::seed(0))?.summary();
        let map = VarMap::new();
        let vars = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
        let (mut modules, mut inputs) = (Vec::new(), summary.input[0]);
        for (number, (layer, row)) in description.layers().iter().zip(&summary.rows).enumerate() {
            modules.push(module(layer.clone(), inputs, vars.pp(number))?);
            inputs = row.output[0];
        }
        let named = map.data().lock().unwrap().clone();
        let learned = named
            .into_iter()
            .filter(|(name, _)| !name.contains("running"));
        let parameters = learned.map(|(_, var)| var).collect();
        Ok(Network {
            modules,
            parameters,
        })
    }

    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let through = |x: Tensor, module: &Module| module.forward(&x, train);
        self.modules.iter().try_fold(x.clone(), through)
    }
}

fn module(layer: Layer, inputs: usize, vars: VarBuilder) -> Result<Module> {
    Ok(match layer {
        Layer::Dense(Dense { units, bias }) => {
            Module::Linear(nn::linear_b(inputs, units, bias, vars)?)
        }
        Layer::Conv2d(Conv2d {
            channels,
            kernel,
            stride,
            padding: Padding::Even(padding),
            bias,
        }) => {
            let config = nn::Conv2dConfig {
                padding,
                stride,
                ..Default::default()
            };
            let conv = if bias { nn::conv2d } else { nn::conv2d_no_bias };
            Module::Conv(conv(inputs, channels, kernel, config, vars)?)
        }
        Layer::ConvTranspose2d(ConvTranspose2d {
            channels,
            kernel,
            stride,
            padding: Padding::Even(padding),
            output_padding,
            bias,
        }) => {
            let dilation = 1;
            let config = nn::ConvTranspose2dConfig {
                padding,
                output_padding,
                stride,
                dilation,
            };
            let up = if bias {
                nn::conv_transpose2d
            } else {
                nn::conv_transpose2d_no_bias
            };
            Module::Up(up(inputs, channels, kernel, config, vars)?)
        }
        Layer::BatchNorm(BatchNorm { momentum, epsilon }) => {
            // candle-nn's momentum is the fraction of the new.
            let momentum = 1. - momentum;
            let config = nn::BatchNormConfig {
                eps: epsilon,
                momentum,
                ..Default::default()
            };
            Module::Norm(nn::batch_norm(inputs, config, vars)?)
        }
        other => Module::Other(other),
    })
}

impl Module {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        match self {
            Module::Linear(linear) => linear.forward(x),
            Module::Conv(conv) => conv.forward(x),
            Module::Up(up) => up.forward(x),
            Module::Norm(norm) => norm.forward_t(x, train),
            Module::Other(Layer::LeakyRelu(LeakyRelu { slope })) => nn::ops::leaky_relu(x, *slope),
            Module::Other(Layer::Tanh) => x.tanh(),
            Module::Other(Layer::Dropout(Dropout { rate })) if train => {
                nn::ops::dropout(x, *rate as f32)
            }
            Module::Other(Layer::Reshape(Reshape { shape })) => {
                x.reshape([&[x.dim(0)?], shape.as_slice()].concat())
            }
            Module::Other(Layer::Flatten) => x.flatten_from(1),
            Module::Other(_) => Ok(x.clone()),
        }
    }
}

/// A GAN in training.
pub struct Plain {
    generator: Network,
    discriminator: Network,
    g_adam: nn::AdamW,
    d_adam: nn::AdamW,
    real: Tensor,
    ones: Tensor,
    zeros: Tensor,
}

impl Plain {
    pub fn new(workload: &Workload, batch: usize) -> peer::Result<Self> {
        let generator = Network::new(&workload.generator)?;
        let discriminator = Network::new(&workload.discriminator)?;
        let adam = |network: &Network| {
            let settings = nn::ParamsAdamW {
                lr: workload.learning_rate,
                beta1: workload.beta1,
                weight_decay: 0.,
                ..Default::default()
            };
            nn::AdamW::new(network.parameters.clone(), settings)
        };
        let ones = Tensor::ones((batch, 1), DType::F32, &Device::Cpu)?;
        Ok(Plain {
            g_adam: adam(&generator)?,
            d_adam: adam(&discriminator)?,
            real: Tensor::rand(-1f32, 1., (batch, 1, 28, 28), &Device::Cpu)?,
            zeros: ones.zeros_like()?,
            ones,
            generator,
            discriminator,
        })
    }

    pub fn parameters(&self) -> usize {
        let networks = [&self.generator, &self.discriminator];
        let parameters = networks.iter().flat_map(|network| &network.parameters);
        parameters.map(|var| var.elem_count()).sum()
    }
}

fn noise(count: usize) -> Result<Tensor> {
    Tensor::randn(0f32, 1., (count, LATENT), &Device::Cpu)
}

impl Peer for Plain {
    fn step(&mut self) -> peer::Result<[f32; 2]> {
        let fake = self.generator.forward(&noise(self.real.dim(0)?)?, true)?;
        let on_real = self.discriminator.forward(&self.real, true)?;
        let on_fake = self.discriminator.forward(&fake.detach(), true)?;
        let on_real = binary_cross_entropy_with_logit(&on_real, &self.ones)?;
        let d_loss = (on_real + binary_cross_entropy_with_logit(&on_fake, &self.zeros)?)?;
        self.d_adam.backward_step(&d_loss)?;
        let on_fake = self.discriminator.forward(&fake, true)?;
        let g_loss = binary_cross_entropy_with_logit(&on_fake, &self.ones)?;
        self.g_adam.backward_step(&g_loss)?;
        Ok([d_loss.to_scalar()?, g_loss.to_scalar()?])
    }

    fn generate(&mut self, count: usize) -> peer::Result<f32> {
        let images = self.generator.forward(&noise(count)?, false)?;
        Ok(images.flatten_all()?.get(0)?.to_scalar()?)
    }
}
