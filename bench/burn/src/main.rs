//! burn: `bench-burn WORKLOAD BATCH [cpu]`. Its backend is Flex, or CubeCL's for CPUs with `cpu`; the number of threads
//! is RAYON_NUM_THREADS's.

#[path = "../../peer.rs"]
mod peer;

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::{
    BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig, PaddingConfig2d,
};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::{leaky_relu, log_sigmoid};
use burn::tensor::{Device, Distribution, Tensor};
use peer::{Peer, Result, serve};

const LATENT: usize = 100;

#[derive(Module, Debug)]
enum Layer {
    Dense(Linear),
    Conv(Conv2d),
    Up(ConvTranspose2d),
    Norm(BatchNorm),
    Dropout(Dropout),
    Leaky(f64),
    Tanh(bool),
    Image([usize; 3]),
    Flatten(bool),
}

/// What flows between layers: rows or images.
enum Batch {
    Rows(Tensor<2>),
    Images(Tensor<4>),
}

#[derive(Module, Debug)]
struct Network {
    layers: Vec<Layer>,
}

impl Network {
    fn forward(&self, x: Batch) -> Batch {
        self.layers.iter().fold(x, |x, layer| layer.forward(x))
    }

    /// How many numbers it learns: burn's own count includes the running statistics.
    fn learned(&self) -> usize {
        let running = |layer: &Layer| match layer {
            Layer::Norm(norm) => 2 * norm.gamma.dims()[0],
            _ => 0,
        };
        self.num_params() - self.layers.iter().map(running).sum::<usize>()
    }

    fn images(&self, noise: Tensor<2>) -> Tensor<4> {
        match self.forward(Batch::Rows(noise)) {
            Batch::Images(images) => images,
            Batch::Rows(_) => unreachable!("a generator ends in images"),
        }
    }

    fn logits(&self, images: Tensor<4>) -> Tensor<2> {
        match self.forward(Batch::Images(images)) {
            Batch::Rows(logits) => logits,
            Batch::Images(_) => unreachable!("a discriminator ends in rows"),
        }
    }
}

impl Layer {
    fn forward(&self, x: Batch) -> Batch {
        use Batch::{Images, Rows};
        match (self, x) {
            (Layer::Dense(dense), Rows(x)) => Rows(dense.forward(x)),
            (Layer::Conv(conv), Images(x)) => Images(conv.forward(x)),
            (Layer::Up(up), Images(x)) => Images(up.forward(x)),
            (Layer::Norm(norm), Rows(x)) => Rows(norm.forward(x)),
            (Layer::Norm(norm), Images(x)) => Images(norm.forward(x)),
            (Layer::Dropout(dropout), Images(x)) => Images(dropout.forward(x)),
            (Layer::Leaky(slope), Rows(x)) => Rows(leaky_relu(x, *slope)),
            (Layer::Leaky(slope), Images(x)) => Images(leaky_relu(x, *slope)),
            (Layer::Tanh(_), Rows(x)) => Rows(x.tanh()),
            (Layer::Tanh(_), Images(x)) => Images(x.tanh()),
            (Layer::Image([c, h, w]), Rows(x)) => {
                let batch = x.dims()[0];
                Images(x.reshape([batch, *c, *h, *w]))
            }
            (Layer::Flatten(_), Images(x)) => Rows(x.flatten(1, 3)),
            (layer, _) => unreachable!("{layer:?} does not follow"),
        }
    }
}

/// Layers by the names that `workloads.py` uses.
struct Build<'a>(&'a Device);

impl Build<'_> {
    fn dense(&self, inputs: usize, units: usize, bias: bool) -> Layer {
        Layer::Dense(
            LinearConfig::new(inputs, units)
                .with_bias(bias)
                .init(self.0),
        )
    }

    fn conv(&self, channels: [usize; 2], kernel: usize, bias: bool) -> Layer {
        let config = Conv2dConfig::new(channels, [kernel; 2])
            .with_stride([2; 2])
            .with_padding(match kernel {
                5 => PaddingConfig2d::Explicit(2, 2, 2, 2),
                _ => PaddingConfig2d::Explicit(1, 1, 1, 1),
            })
            .with_bias(bias);
        Layer::Conv(config.init(self.0))
    }

    fn up(&self, channels: [usize; 2], kernel: usize, stride: usize, bias: bool) -> Layer {
        let padding = (kernel - stride).div_ceil(2);
        let config = ConvTranspose2dConfig::new(channels, [kernel; 2])
            .with_stride([stride; 2])
            .with_padding([padding; 2])
            .with_padding_out([stride + 2 * padding - kernel; 2])
            .with_bias(bias);
        Layer::Up(config.init(self.0))
    }

    /// `kept`: the share of the old running statistics; burn's momentum is that of the new.
    fn norm(&self, channels: usize, kept: f64) -> Layer {
        let config = BatchNormConfig::new(channels).with_momentum(1. - kept);
        Layer::Norm(config.init(self.0))
    }
}

/// Generator, discriminator, learning rate and beta1.
fn workload(name: &str, device: &Device) -> Result<(Network, Network, f64, f32)> {
    let b = Build(device);
    let dropout = || Layer::Dropout(DropoutConfig::new(0.3).init());
    let (generator, discriminator, rate, beta1) = match name {
        "W1" => {
            let mut generator = Vec::new();
            for (inputs, units) in [(LATENT, 256), (256, 512), (512, 1024)] {
                generator.extend([
                    b.dense(inputs, units, true),
                    Layer::Leaky(0.2),
                    b.norm(units, 0.8),
                ]);
            }
            let image = Layer::Image([1, 28, 28]);
            generator.extend([b.dense(1024, 784, true), Layer::Tanh(true), image]);
            let discriminator = vec![
                Layer::Flatten(true),
                b.dense(784, 512, true),
                Layer::Leaky(0.2),
                b.dense(512, 256, true),
                Layer::Leaky(0.2),
                b.dense(256, 1, true),
            ];
            (generator, discriminator, 2e-4, 0.5)
        }
        "W2" => {
            let generator = vec![
                b.dense(LATENT, 7 * 7 * 256, false),
                b.norm(7 * 7 * 256, 0.99),
                Layer::Leaky(0.3),
                Layer::Image([256, 7, 7]),
                b.up([256, 128], 5, 1, false),
                b.norm(128, 0.99),
                Layer::Leaky(0.3),
                b.up([128, 64], 5, 2, false),
                b.norm(64, 0.99),
                Layer::Leaky(0.3),
                b.up([64, 1], 5, 2, false),
                Layer::Tanh(true),
            ];
            let discriminator = vec![
                b.conv([1, 64], 5, true),
                Layer::Leaky(0.3),
                dropout(),
                b.conv([64, 128], 5, true),
                Layer::Leaky(0.3),
                dropout(),
                Layer::Flatten(true),
                b.dense(128 * 7 * 7, 1, true),
            ];
            (generator, discriminator, 1e-4, 0.9)
        }
        "W3" => compact(&b, [1024, 128, 64], [64, 128, 1024], 2e-4),
        "W4" => compact(&b, [512, 64, 32], [16, 32, 256], 5e-4),
        other => return Err(format!("no workload {other}: W1, W2, W3 or W4").into()),
    };
    let network = |layers| Network { layers };
    Ok((network(generator), network(discriminator), rate, beta1))
}

/// The generator's hidden units and its channels of 7x7 and 14x14 pixels; the discriminator's channels and units.
fn compact(
    b: &Build,
    [hidden, small, large]: [usize; 3],
    [first, second, units]: [usize; 3],
    rate: f64,
) -> (Vec<Layer>, Vec<Layer>, f64, f32) {
    let generator = vec![
        b.dense(LATENT, hidden, false),
        b.norm(hidden, 0.9),
        Layer::Leaky(0.2),
        b.dense(hidden, small * 7 * 7, false),
        b.norm(small * 7 * 7, 0.9),
        Layer::Leaky(0.2),
        Layer::Image([small, 7, 7]),
        b.up([small, large], 4, 2, false),
        b.norm(large, 0.9),
        Layer::Leaky(0.2),
        b.up([large, 1], 4, 2, true),
        Layer::Tanh(true),
    ];
    let discriminator = vec![
        b.conv([1, first], 4, true),
        Layer::Leaky(0.2),
        b.conv([first, second], 4, false),
        b.norm(second, 0.9),
        Layer::Leaky(0.2),
        Layer::Flatten(true),
        b.dense(second * 7 * 7, units, false),
        b.norm(units, 0.9),
        Layer::Leaky(0.2),
        b.dense(units, 1, true),
    ];
    (generator, discriminator, rate, 0.5)
}

/// A GAN in training. An optimizer takes a network and gives it back, hence the options.
struct Burn {
    generator: Option<Network>,
    discriminator: Option<Network>,
    g_adam: ModuleOptimizer,
    d_adam: ModuleOptimizer,
    rate: f64,
    real: Tensor<4>,
    device: Device,
}

impl Burn {
    fn noise(&self, count: usize, device: &Device) -> Tensor<2> {
        Tensor::random([count, LATENT], Distribution::Normal(0., 1.), device)
    }
}

impl Peer for Burn {
    fn step(&mut self) -> Result<[f32; 2]> {
        let training = self.device.clone().autodiff();
        let generator = self.generator.take().ok_or("a step failed")?;
        let discriminator = self.discriminator.take().ok_or("a step failed")?;
        let fake = generator.images(self.noise(self.real.dims()[0], &training));
        let on_real = discriminator.logits(self.real.clone());
        let on_fake = discriminator.logits(fake.clone().detach());
        let d_loss = log_sigmoid(on_real).mean().neg() - log_sigmoid(on_fake.neg()).mean();
        let gradients = GradientsParams::from_grads(d_loss.backward(), &discriminator);
        let discriminator = self.d_adam.step(self.rate, discriminator, gradients);
        let verdict = discriminator.clone().no_grad().logits(fake);
        let g_loss = log_sigmoid(verdict).mean().neg();
        let gradients = GradientsParams::from_grads(g_loss.backward(), &generator);
        self.generator = Some(self.g_adam.step(self.rate, generator, gradients));
        self.discriminator = Some(discriminator);
        Ok([d_loss.into_scalar(), g_loss.into_scalar()])
    }

    fn generate(&mut self, count: usize) -> Result<f32> {
        let generator = self.generator.as_ref().ok_or("a step failed")?.valid();
        let images = generator.images(self.noise(count, &self.device));
        Ok(images.slice([0..1, 0..1, 0..1, 0..1]).into_scalar())
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (name, batch) = match &arguments[..] {
        [name, batch, ..] => (name, batch.parse()?),
        _ => return Err("usage: bench-burn WORKLOAD BATCH [cpu]".into()),
    };
    #[cfg(feature = "cpu")]
    let device = if arguments.len() > 2 {
        Device::cpu()
    } else {
        Device::flex()
    };
    #[cfg(not(feature = "cpu"))]
    let device = Device::flex();
    let training = device.clone().autodiff();
    let (generator, discriminator, rate, beta1) = workload(name, &training)?;
    let adam = || {
        AdamConfig::new()
            .with_beta_1(beta1)
            .with_epsilon(1e-8)
            .init()
    };
    let parameters = generator.learned() + discriminator.learned();
    let real = Tensor::random(
        [batch, 1, 28, 28],
        Distribution::Uniform(-1., 1.),
        &training,
    );
    let peer = Burn {
        generator: Some(generator),
        discriminator: Some(discriminator),
        g_adam: adam(),
        d_adam: adam(),
        rate,
        real,
        device,
    };
    serve("burn 0.22.1", parameters, peer)
}
