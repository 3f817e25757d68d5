//! Our side of the benchmark, and candle-nn's plain layers: `bench ours WORKLOAD BATCH [mixed|bf16]`, `bench candle WORKLOAD
//! BATCH`; `bench profile WORKLOAD BATCH [mixed|bf16]` for where a step's time goes, or `bench gemm` for the rate of one large
//! matrix product in GFLOPS. The number of threads is RAYON_NUM_THREADS's.

#[path = "candle.rs"]
mod candle;
#[path = "peer.rs"]
mod peer;
#[path = "workloads.rs"]
mod workloads;

use std::time::Instant;

use digit_gan::nn::Network;
use digit_gan::prelude::*;
use digit_gan::profile::profile;
use peer::{Peer, Result, serve};
use workloads::{LATENT, Workload, workload};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["gemm"] => gemm(),
        ["profile", name, batch, ref precision @ ..] => {
            let mut peer = Ours::new(&workload(name, 0.3), batch.parse()?, precision_of(precision))?;
            (0..10).try_for_each(|_| peer.step().map(drop))?;
            let (done, profile) = profile(|| (0..PROFILED).try_for_each(|_| peer.step().map(drop)));
            done?;
            print!("{PROFILED} steps of {name}, batch {batch}\n{profile}");
            Ok(())
        }
        ["ours", name, batch, ref precision @ ..] => {
            let (batch, workload) = (batch.parse()?, workload(name, 0.3));
            let peer = Ours::new(&workload, batch, precision_of(precision))?;
            let networks = [&peer.generator, &peer.discriminator];
            let parameters = networks.map(|network| network.summary().trainable());
            let name = concat!("digit-gan ", env!("CARGO_PKG_VERSION"));
            serve(name, parameters.iter().sum(), peer)
        }
        ["candle", name, batch] => {
            let peer = candle::Plain::new(&workload(name, 0.3), batch.parse()?)?;
            serve("candle-nn 0.11.1", peer.parameters(), peer)
        }
        _ => Err("usage: bench gemm | bench ours|profile WORKLOAD BATCH [mixed|bf16] | bench candle WORKLOAD BATCH".into()),
    }
}

/// Steps of which a profile is taken.
const PROFILED: usize = 100;

/// `mixed`, `bf16`, or nothing for f32.
fn precision_of(arguments: &[&str]) -> Precision {
    match arguments {
        ["mixed"] => Precision::Mixed,
        ["bf16"] => Precision::Bf16,
        _ => Precision::F32,
    }
}

struct Ours {
    generator: Network,
    discriminator: Network,
    g_adam: Adam,
    d_adam: Adam,
    loss: GanLoss,
    penalty: Option<Penalty>,
    classes: Option<usize>,
    real: Tensor,
    rng: Rng,
    digits: Option<Digits>,
    shown: usize,
}

impl Ours {
    fn new(workload: &Workload, batch: usize, precision: Precision) -> Result<Self> {
        let rng = Rng::seed(42);
        let generator = workload.generator.build(&rng)?.with_precision(precision);
        let discriminator = workload
            .discriminator
            .build(&rng)?
            .with_precision(precision);
        let adam = |network: &Network| {
            Adam::new(network.parameters(), workload.learning_rate, workload.beta1)
        };
        Ok(Ours {
            g_adam: adam(&generator)?,
            d_adam: adam(&discriminator)?,
            loss: workload.loss,
            penalty: workload.penalty,
            classes: workload.classes,
            real: rng.uniform((batch, 1, 28, 28), -1., 1.)?,
            generator,
            discriminator,
            rng,
            digits: None,
            shown: 0,
        })
    }

    /// The classes of a batch, if there are any: each in turn.
    fn labels(&self, count: usize) -> Result<Option<Tensor>> {
        let Some(classes) = self.classes else {
            return Ok(None);
        };
        let labels = (0..count).map(|i| (i % classes) as u32);
        Ok(Some(Tensor::from_iter(labels, &Device::Cpu)?))
    }

    /// Noise, and beside it the classes.
    fn input(&self, count: usize) -> Result<Tensor> {
        let noise = self.rng.normal((count, LATENT))?;
        Ok(match (self.labels(count)?, self.classes) {
            (Some(labels), Some(classes)) => with_class(&noise, &labels, classes)?,
            _ => noise,
        })
    }

    fn logits(&self, discriminator: &Network, images: &Tensor) -> Result<Tensor> {
        let output = discriminator.forward_t(images, true)?;
        Ok(match self.labels(images.dim(0)?)? {
            Some(labels) => class_logit(&output, &labels)?,
            None => output,
        })
    }
}

impl Peer for Ours {
    fn step(&mut self) -> Result<[f32; 2]> {
        let batch = self.real.dim(0)?;
        let fake = self.generator.forward_t(&self.input(batch)?, true)?;
        let constant = fake.detach();
        let on_real = self.logits(&self.discriminator, &self.real)?;
        let on_fake = self.logits(&self.discriminator, &constant)?;
        let mut d_loss = self.loss.discriminator(&on_real, &on_fake, 1.)?;
        if let Some(penalty) = self.penalty {
            let (judge, labels) = (&self.discriminator, self.labels(batch)?);
            let added =
                penalty.compute(judge, &self.real, &constant, labels.as_ref(), &self.rng)?;
            d_loss = (d_loss + added)?;
        }
        self.d_adam.step(&d_loss)?;
        let on_fake = self.logits(&self.discriminator.frozen(), &fake)?;
        let g_loss = self.loss.generator(&on_real.detach(), &on_fake)?;
        self.g_adam.step(&g_loss)?;
        Ok([d_loss.to_scalar()?, g_loss.to_scalar()?])
    }

    fn show_digits(&mut self) -> Result<()> {
        let digits = match self.digits.take() {
            Some(digits) => digits,
            None => Dataset::Mnist.load(Split::Train)?,
        };
        let next = self.shown..self.shown + self.real.dim(0)?;
        self.shown = next.end;
        let indices: Vec<usize> = next.map(|i| i % digits.len()).collect();
        self.real = digits.tensors(&indices)?.0;
        self.digits = Some(digits);
        Ok(())
    }

    fn generate(&mut self, count: usize) -> Result<f32> {
        let images = self.generator.forward(&self.input(count)?)?;
        Ok(images.flatten_all()?.get(0)?.to_scalar()?)
    }
}

/// A line of GFLOPS for each line of input: the product of two matrices of 2048 x 2048.
fn gemm() -> Result<()> {
    let size = 2048;
    let matrix = Rng::seed(1).normal((size, size))?;
    matrix.matmul(&matrix)?;
    println!("ready 0 gemm");
    for _ in std::io::stdin().lines() {
        let began = Instant::now();
        matrix.matmul(&matrix)?;
        println!(
            "{}",
            2. * (size as f64).powi(3) / began.elapsed().as_secs_f64() / 1e9
        );
    }
    Ok(())
}
