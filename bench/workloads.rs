//! The workloads of `workloads.py` as networks of ours, for the benchmark and for tests/literals.rs.

use digit_gan::nn::Sequential;

pub const LATENT: usize = 100;

/// Two networks and the settings of their optimizers.
pub struct Workload {
    pub generator: Sequential,
    pub discriminator: Sequential,
    pub learning_rate: f64,
    pub beta1: f64,
}

/// W1, W2 or W3, with this rate of dropout where the workload has dropout at all.
pub fn workload(name: &str, dropout: f64) -> Workload {
    let generator = Sequential::new("generator", [LATENT]);
    let discriminator = Sequential::new("discriminator", [1, 28, 28]);
    match name {
        "W1" => Workload {
            generator: generator
                .dense(256)
                .leaky_relu(0.2)
                .batch_norm(0.8)
                .dense(512)
                .leaky_relu(0.2)
                .batch_norm(0.8)
                .dense(1024)
                .leaky_relu(0.2)
                .batch_norm(0.8)
                .dense(28 * 28)
                .tanh()
                .reshape([1, 28, 28]),
            discriminator: discriminator
                .flatten()
                .dense(512)
                .leaky_relu(0.2)
                .dense(256)
                .leaky_relu(0.2)
                .dense(1),
            learning_rate: 2e-4,
            beta1: 0.5,
        },
        "W2" => Workload {
            generator: generator
                .dense(7 * 7 * 256)
                .no_bias()
                .batch_norm(0.99)
                .leaky_relu(0.3)
                .reshape([256, 7, 7])
                .conv_transpose2d(128, 5, 1)
                .no_bias()
                .batch_norm(0.99)
                .leaky_relu(0.3)
                .conv_transpose2d(64, 5, 2)
                .no_bias()
                .batch_norm(0.99)
                .leaky_relu(0.3)
                .conv_transpose2d(1, 5, 2)
                .no_bias()
                .tanh(),
            discriminator: discriminator
                .conv2d(64, 5, 2)
                .leaky_relu(0.3)
                .dropout(dropout)
                .conv2d(128, 5, 2)
                .leaky_relu(0.3)
                .dropout(dropout)
                .flatten()
                .dense(1),
            learning_rate: 1e-4,
            beta1: 0.9,
        },
        "W3" => Workload {
            generator: generator
                .dense(1024)
                .no_bias()
                .batch_norm(0.9)
                .leaky_relu(0.2)
                .dense(128 * 7 * 7)
                .no_bias()
                .batch_norm(0.9)
                .leaky_relu(0.2)
                .reshape([128, 7, 7])
                .conv_transpose2d(64, 4, 2)
                .no_bias()
                .batch_norm(0.9)
                .leaky_relu(0.2)
                .conv_transpose2d(1, 4, 2)
                .tanh(),
            discriminator: discriminator
                .conv2d(64, 4, 2)
                .leaky_relu(0.2)
                .conv2d(128, 4, 2)
                .no_bias()
                .batch_norm(0.9)
                .leaky_relu(0.2)
                .flatten()
                .dense(1024)
                .no_bias()
                .batch_norm(0.9)
                .leaky_relu(0.2)
                .dense(1),
            learning_rate: 2e-4,
            beta1: 0.5,
        },
        other => panic!("no workload {other}: W1, W2 or W3"),
    }
}
