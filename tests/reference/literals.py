"""Prints the tables of tests/rust/literals.rs: one GAN step of each workload in PyTorch, in f64.

    python tests/reference/literals.py    (needs torch)

Weights, noise and images come from an integer hash that Rust computes alike; see `hashed`.
"""

import math
import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
from torch_networks import build
from workloads import LATENT, WORKLOADS

BATCH = 5


def hashed(salt: int, shape: tuple, scale: float, offset: float = 0.0) -> torch.Tensor:
    """offset + scale * u, rounded to f32; u in [-1, 1) from the bits of murmur3's finaliser over the index."""
    x = np.arange(math.prod(shape), dtype=np.uint32) * np.uint32(2654435761) + np.uint32(salt)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x85EBCA6B)
    x ^= x >> np.uint32(13)
    x *= np.uint32(0xC2B2AE35)
    x ^= x >> np.uint32(16)
    u = x.astype(np.float64) / 2**31 - 1
    return torch.from_numpy((offset + scale * u).astype(np.float32).astype(np.float64)).reshape(shape)


def parameters(network: torch.nn.Sequential) -> list[tuple[str, torch.nn.Parameter, bool]]:
    """Name in our networks, parameter, and whether ours is its transpose."""
    found = []
    for number, module in enumerate(network):
        dense = isinstance(module, torch.nn.Linear)
        norm = isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d))
        for name, parameter in module.named_parameters():
            name = {"weight": "gamma", "bias": "beta"}[name] if norm else name
            found.append((f"{number}.{name}", parameter, dense and name == "weight"))
    return found


def fill(network: torch.nn.Sequential, salt: int) -> None:
    for place, (name, parameter, transposed) in enumerate(parameters(network)):
        shape = tuple(parameter.shape[::-1]) if transposed else tuple(parameter.shape)
        if name.endswith("weight"):
            taps = math.prod(shape[2:])
            values = hashed(salt + place, shape, math.sqrt(6 / ((shape[0] + shape[1]) * taps)))
        else:
            values = hashed(salt + place, shape, 0.25, 1.0 if name.endswith("gamma") else 0.0)
        with torch.no_grad():
            parameter.copy_(values.T if transposed else values)


def rows(network: torch.nn.Sequential, loss: torch.Tensor) -> list[str]:
    named = parameters(network)
    gradients = torch.autograd.grad(loss, [parameter for _, parameter, _ in named], retain_graph=True)
    lines = []
    for (name, _, transposed), gradient in zip(named, gradients):
        gradient = (gradient.T if transposed else gradient).flatten()
        dot = torch.dot(gradient, hashed(1000, tuple(gradient.shape), 1.0))
        lines.append(f'        ("{name}", {gradient.norm().item():.9e}, {dot.item():.9e}),')
    return lines


def main() -> None:
    torch.set_default_dtype(torch.float64)
    print(f"// PyTorch {torch.__version__.split('+')[0]}, f64")
    for name, workload in WORKLOADS.items():
        generator, discriminator = build(workload.generator, (LATENT,)), build(workload.discriminator, (1, 28, 28))
        for module in discriminator:
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        fill(generator, 100)
        fill(discriminator, 200)
        fake = generator(hashed(1, (BATCH, LATENT), math.sqrt(3)))
        on_real, on_fake = discriminator(hashed(2, (BATCH, 1, 28, 28), 1.0)), discriminator(fake.detach())
        d_loss = cross_entropy(on_real, 1.0) + cross_entropy(on_fake, 0.0)
        g_loss = cross_entropy(discriminator(fake), 1.0)
        print(f"const {name}: Expected = Expected {{")
        print(f"    d_loss: {d_loss.item():.9e},\n    g_loss: {g_loss.item():.9e},")
        print("    discriminator: &[", *rows(discriminator, d_loss), "    ],", sep="\n")
        print("    generator: &[", *rows(generator, g_loss), "    ],\n};", sep="\n")


def cross_entropy(logits: torch.Tensor, target: float) -> torch.Tensor:
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


if __name__ == "__main__":
    main()
