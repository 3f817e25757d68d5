"""PyTorch, eager or with --compile; with --bf16 in mixed precision, as its documentation describes autocast."""

import os

import peer

parser = peer.arguments()
parser.add_argument("--compile", action="store_true")
parser.add_argument("--bf16", action="store_true")
options = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(options.threads)  # before the libraries read it

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from torch_networks import build
from workloads import LATENT, WORKLOADS

torch.set_num_threads(options.threads)
torch.manual_seed(42)
workload, batch = WORKLOADS[options.workload], options.batch
generator, discriminator = build(workload.generator, (LATENT,)), build(workload.discriminator, (1, 28, 28))
if options.workload == "W3":  # channels last: 5 to 10% faster here, 5% slower on W2
    generator.to(memory_format=torch.channels_last)
    discriminator.to(memory_format=torch.channels_last)
g_adam, d_adam = (
    torch.optim.Adam(network.parameters(), workload.rate, (workload.beta1, 0.999), fused=True)
    for network in (generator, discriminator)
)
real = torch.rand(batch, 1, 28, 28) * 2 - 1
ones, zeros = torch.ones(batch, 1), torch.zeros(batch, 1)
# Layers in bfloat16, normalisation's statistics and the losses in f32; weights, gradients and Adam stay f32.
mixed = torch.autocast("cpu", torch.bfloat16, enabled=options.bf16)


@mixed
def fakes() -> Tensor:
    return generator(torch.randn(batch, LATENT))


@mixed
def d_loss(fake: Tensor) -> Tensor:
    on_real, on_fake = discriminator(real), discriminator(fake)
    return binary_cross_entropy_with_logits(on_real, ones) + binary_cross_entropy_with_logits(on_fake, zeros)


@mixed
def g_loss(fake: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(discriminator(fake), ones)


if options.compile:
    fakes, d_loss, g_loss = (torch.compile(part) for part in (fakes, d_loss, g_loss))


def step() -> tuple[Tensor, Tensor]:
    fake = fakes()
    of_d = d_loss(fake.detach())
    d_adam.zero_grad()
    of_d.backward()
    d_adam.step()
    discriminator.requires_grad_(False)
    of_g = g_loss(fake)
    g_adam.zero_grad()
    of_g.backward()
    g_adam.step()
    discriminator.requires_grad_(True)
    return of_d.detach(), of_g.detach()


@torch.inference_mode()
def generate(count: int) -> Tensor:
    generator.eval()
    images = samples(count)
    generator.train()
    return images


@mixed
def samples(count: int) -> Tensor:
    return generator(torch.randn(count, LATENT))


def show(images: np.ndarray) -> None:
    real.copy_(torch.from_numpy(images).unsqueeze(1))


if options.compile:
    samples = torch.compile(samples, dynamic=False)
parameters = sum(parameter.numel() for network in (generator, discriminator) for parameter in network.parameters())
peer.serve(f"PyTorch {torch.__version__.split('+')[0]}", parameters, batch, step, generate, show)
