//! What every peer in Rust shares: the lines it exchanges with the driver; see `peer.py`.

use std::error::Error;
use std::time::Instant;

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A GAN in training.
pub trait Peer {
    /// Trains once; returns both losses.
    fn step(&mut self) -> Result<[f32; 2]>;

    /// Makes the next digits of MNIST's training file the real images of the next step.
    fn show_digits(&mut self) -> Result<()> {
        Err("this peer trains on noise alone".into())
    }

    /// Draws `count` samples; returns one of their values.
    fn generate(&mut self, count: usize) -> Result<f32>;
}

/// Warms up, announces the peer and its number of parameters, and answers until the input ends.
pub fn serve(description: &str, parameters: usize, mut peer: impl Peer) -> Result<()> {
    for _ in 0..3 {
        peer.step()?;
    }
    println!("ready {parameters} {description}");
    for line in std::io::stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let began = Instant::now();
        match words[..] {
            ["step", count] => {
                let mut losses = [0.; 2];
                for _ in 0..count.parse()? {
                    losses = peer.step()?;
                }
                if !losses.iter().all(|loss| loss.is_finite()) {
                    return Err(format!("{description}: the losses are {losses:?}").into());
                }
            }
            ["losses", count] => {
                let count: usize = count.parse()?;
                let mut means = [0.; 2];
                for _ in 0..count {
                    peer.show_digits()?;
                    let losses = peer.step()?;
                    means = [0, 1].map(|i| means[i] + f64::from(losses[i]) / count as f64);
                }
                println!("{} {}", means[0], means[1]);
                continue;
            }
            ["generate", count, batch] => {
                let (count, batch): (usize, usize) = (count.parse()?, batch.parse()?);
                for _ in 0..count.div_ceil(batch) {
                    peer.generate(batch)?;
                }
            }
            _ => return Err(format!("no such command: {line}").into()),
        }
        println!("{}", began.elapsed().as_secs_f64());
    }
    Ok(())
}
