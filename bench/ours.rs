//! Our side of the benchmark, and candle-nn's plain layers: `bench ours|candle WORKLOAD BATCH`, or `bench gemm` for
//! the rate of one large matrix product in GFLOPS. The number of threads is RAYON_NUM_THREADS's.

#[path = "candle.rs"]
mod candle;
#[path = "peer.rs"]
mod peer;
#[path = "workloads.rs"]
mod workloads;

use std::time::Instant;

use digit_gan::loss::bce;
use digit_gan::nn::Network;
use digit_gan::prelude::*;
use peer::{Peer, Result, serve};
use workloads::{LATENT, Workload, workload};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["gemm"] => gemm(),
        ["ours", name, batch] => {
            let (batch, workload) = (batch.parse()?, workload(name, 0.3));
            let peer = Ours::new(&workload, batch)?;
            let networks = [&peer.generator, &peer.discriminator];
            let parameters = networks.map(|network| network.summary().trainable());
            let name = concat!("digit-gan ", env!("CARGO_PKG_VERSION"));
            serve(name, parameters.iter().sum(), peer)
        }
        ["candle", name, batch] => {
            let peer = candle::Plain::new(&workload(name, 0.3), batch.parse()?)?;
            serve("candle-nn 0.11.1", peer.parameters(), peer)
        }
        _ => Err("usage: bench gemm | bench ours|candle WORKLOAD BATCH".into()),
    }
}

struct Ours {
    generator: Network,
    discriminator: Network,
    g_adam: Adam,
    d_adam: Adam,
    real: Tensor,
    rng: Rng,
    digits: Option<Digits>,
    shown: usize,
}

impl Ours {
    fn new(workload: &Workload, batch: usize) -> Result<Self> {
        let rng = Rng::seed(42);
        let generator = workload.generator.build(&rng)?;
        let discriminator = workload.discriminator.build(&rng)?;
        let adam = |network: &Network| {
            Adam::new(network.parameters(), workload.learning_rate, workload.beta1)
        };
        Ok(Ours {
            g_adam: adam(&generator)?,
            d_adam: adam(&discriminator)?,
            real: rng.uniform((batch, 1, 28, 28), -1., 1.)?,
            generator,
            discriminator,
            rng,
            digits: None,
            shown: 0,
        })
    }
}

impl Peer for Ours {
    fn step(&mut self) -> Result<[f32; 2]> {
        let noise = self.rng.normal((self.real.dim(0)?, LATENT))?;
        let fake = self.generator.forward_t(&noise, true)?;
        let on_real = self.discriminator.forward_t(&self.real, true)?;
        let on_fake = self.discriminator.forward_t(&fake.detach(), true)?;
        let d_loss = (bce(&on_real, 1.)? + bce(&on_fake, 0.)?)?;
        self.d_adam.step(&d_loss)?;
        let g_loss = bce(&self.discriminator.frozen().forward_t(&fake, true)?, 1.)?;
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
        let images = self.generator.forward(&self.rng.normal((count, LATENT))?)?;
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
