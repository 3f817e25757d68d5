"""Prints the literals of tests/rust/latent.rs: paths, variances and directions by the formulas of the papers, in f64.

    python tests/reference/latent.py    (needs numpy and scipy)
"""

import numpy as np
from scipy.stats import truncnorm


def wave(shape, salt, scale):
    i = np.arange(np.prod(shape))
    return (scale * np.sin(2.1 * i + 0.013 * i**2 + salt)).astype(np.float32).reshape(shape)


def slerp(t, low, high):  # White 2016
    omega = np.arccos(np.dot(low / np.linalg.norm(low), high / np.linalg.norm(high)))
    return np.sin((1.0 - t) * omega) / np.sin(omega) * low + np.sin(t * omega) / np.sin(omega) * high


low, high = wave(6, 0.3, 1.0).astype(float), wave(6, 1.7, 1.0).astype(float)
low, high = 2.5 * low / np.linalg.norm(low), 2.5 * high / np.linalg.norm(high)
print(f"const SLERP: [f32; 6] = {np.round(slerp(0.3, low, high), 6).tolist()};")

print(f"const VARIANCES: [f64; 2] = {[round(float(truncnorm.var(-t, t)), 6) for t in (0.5, 1.5)]};")

noise, mixing = wave((40, 4), 0.2, 1.4), wave((4, 9), 0.9, 1.0) * np.array([[3.0], [0.5], [2.0], [1.0]])
images = np.tanh(noise @ mixing) + np.arange(40)[:, None] % 2  # the second class is brighter all over
labels = np.arange(40) % 2
for label in (0, 1):
    images[labels == label] -= images[labels == label].mean(0)
left, strengths, _ = np.linalg.svd(noise.T @ images / 40)
signs = np.sign(left.T @ (noise.T @ images).sum(1))
print(f"const STRENGTHS: [f32; 4] = {np.round(strengths, 5).tolist()};")
print(f"const DIRECTIONS: [[f32; 4]; 2] = {np.round((left * signs).T[:2], 5).tolist()};")
