//! Writes the files of `tests/formats/v1` with the program of commit 8e78c55, before files said their version.
use digit_gan::Result;
use digit_gan::nn::Sequential;
use digit_gan::optim::Adam;
use digit_gan::prelude::*;
use digit_gan::recipe::{AdamSettings, InstanceNoise};
use std::path::{Path, PathBuf};

fn recipe() -> Recipe {
    let adam = AdamSettings { learning_rate: 1e-3, beta1: 0.5, beta2: 0.99 };
    Recipe {
        name: "old".into(),
        seed: 3,
        generator: Sequential::new("generator", [2 + 10])
            .dense(2 * 7 * 7)
            .no_bias()
            .batch_norm(0.9)
            .leaky_relu(0.2)
            .reshape([2, 7, 7])
            .conv_transpose2d(2, 4, 2)
            .conv_transpose2d(1, 4, 2)
            .tanh(),
        discriminator: Sequential::new("discriminator", [1, 28, 28])
            .conv2d(2, 4, 2)
            .leaky_relu(0.2)
            .dropout(0.2)
            .conv2d(3, 5, 2)
            .flatten()
            .dense(1 + 10),
        latent_dim: 2,
        classes: Some(10),
        images: 12 * 8,
        batch_size: 8,
        loss: GanLoss::Relativistic,
        penalty: Some(Penalty::R1R2 { gamma: 0.5 }),
        real_target: 1.,
        instance_noise: Some(InstanceNoise { deviation: 0.3, share: 0.7 }),
        d_steps: 1,
        g_adam: adam,
        d_adam: adam,
        schedule: Schedule::Cosine { to: 0.1 }.after_warm_up(0.2),
        average: Some(40.),
        tick: 4,
        grid: 100,
        checkpoint: 100,
        keep: 2,
    }
}

fn main() -> Result<()> {
    let out = PathBuf::from(std::env::args().nth(1).unwrap());
    let digits = Digits::builtin(50, &Rng::seed(3));
    let test = Digits::builtin(60, &Rng::seed(4));
    let judge = Judge::open(
        std::env::temp_dir(),
        &Digits::builtin(500, &Rng::seed(5)),
        &test,
    )?;
    let run = out.join("run");
    let mut trainer = Trainer::new(recipe(), &digits, &run)?.judged_by(&judge, &test, 4 * 8)?;
    (0..7).try_for_each(|_| trainer.advance().map(drop))?;
    trainer.checkpoint()?;
    trainer.advance()?; // a line that a resumed run writes again
    copy(&run, &out.join("stopped"));
    trainer.run()?;
    trainer.generator().save(out.join("generator.safetensors"))?;
    trainer.discriminator().save(out.join("discriminator.safetensors"))?;
    let network = Sequential::new("line", [1]).dense(1).build(&Rng::seed(1))?;
    let mut adam = Adam::new(&network, 0.05, 0.9)?;
    let x = Rng::seed(2).normal((4, 1))?;
    adam.step(&network.train(&x)?.sqr()?.mean_all()?)?;
    adam.save(out.join("adam.safetensors"))?;
    network.save(out.join("line.safetensors"))?;
    adam.step(&network.train(&x)?.sqr()?.mean_all()?)?;
    network.save(out.join("line-after.safetensors"))
}

fn copy(from: &Path, to: &Path) {
    assert!(std::process::Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
}
