"""Prints the tables of tests/rust/penalties.rs: gradient penalties and their gradients by double backward, in f64.

    python tests/reference/penalties.py    (needs torch)
"""

import numpy as np
import torch
from torch import nn

FRACTIONS = [0.4224336, 0.6657171, 0.9250802]  # what Rng::seed(3) draws for the points between real and fake
LABELS = [2, 0, 1]


def wave(shape: tuple, salt: float, scale: float = 1.0) -> torch.Tensor:
    """scale * sin(2.1 i + salt), rounded to f32."""
    values = scale * np.sin(2.1 * np.arange(np.prod(shape)) + salt)
    return torch.from_numpy(values.astype(np.float32).astype(np.float64)).reshape(shape)


NETWORKS = {
    "dense": (
        (6,),
        nn.Sequential(nn.Linear(6, 5), nn.LeakyReLU(0.2), nn.Linear(5, 4), nn.LeakyReLU(0.2), nn.Linear(4, 1)),
    ),
    "conv": (
        (1, 5, 6),
        nn.Sequential(
            nn.Conv2d(1, 3, 4, 2, 1), nn.LeakyReLU(0.2), nn.ConvTranspose2d(3, 2, 4, 2, 1), nn.LeakyReLU(0.1),
            nn.Flatten(), nn.Linear(2 * 4 * 6, 1 + 3),
        ),
    ),
}


def parameters(network: nn.Sequential) -> list:
    """Name in our networks, parameter, whether ours is its transpose."""
    return [
        (f"{number}.{name}", parameter, isinstance(module, nn.Linear) and name == "weight")
        for number, module in enumerate(network)
        for name, parameter in module.named_parameters()
    ]


def squares(network: nn.Sequential, x: torch.Tensor) -> torch.Tensor:
    x = x.clone().requires_grad_()
    y = network(x)
    if y.shape[1] > 1:
        y = y[:, 0] + y[torch.arange(3), 1 + torch.tensor(LABELS)]
    (gradient,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    return gradient.square().flatten(1).sum(1)


def main() -> None:
    torch.set_default_dtype(torch.float64)
    for network_name, (shape, network) in NETWORKS.items():
        for place, (_, parameter, transposed) in enumerate(parameters(network)):
            values = wave(tuple(parameter.shape[::-1]) if transposed else tuple(parameter.shape), place, 0.5)
            parameter.data = values.T if transposed else values
        real, fake = wave((3, *shape), 10), wave((3, *shape), 20)
        fractions = torch.tensor(FRACTIONS).reshape(3, *[1] * len(shape))
        points = fake + (real - fake) * fractions
        for name, penalty in {
            "WGAN_GP": 10 * (squares(network, points).sqrt() - 1).square().mean(),
            "R1": 0.7 / 2 * squares(network, real).mean(),
            "R1_R2": 0.7 / 2 * (squares(network, real) + squares(network, fake)).mean(),
        }.items():
            print(f"const {network_name.upper()}_{name}: Expected = Expected {{")
            print(f"    value: {penalty.item():.9e},\n    gradients: &[")
            named = parameters(network)
            gradients = torch.autograd.grad(penalty, [parameter for _, parameter, _ in named], allow_unused=True)
            for (label, parameter, transposed), gradient in zip(named, gradients):
                gradient = torch.zeros_like(parameter) if gradient is None else gradient
                gradient = (gradient.T if transposed else gradient).flatten()
                dot = torch.dot(gradient, wave(tuple(gradient.shape), 30))
                print(f'        ("{label}", {gradient.norm().item():.9e}, {dot.item():.9e}),')
            print("    ],\n};")


main()
