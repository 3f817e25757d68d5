"""The workloads as PyTorch networks."""

import math

from torch import nn

from workloads import padding, shapes


def build(layers: list, shape: tuple) -> nn.Sequential:
    """A module per layer, for samples of this shape."""
    return nn.Sequential(*(module(layer, before) for layer, before in zip(layers, shapes(layers, shape))))


def module(layer: tuple, shape: tuple) -> nn.Module:
    match layer:
        case ("dense", units, bias):
            return nn.Linear(shape[0], units, bias=bias)
        case ("conv", channels, kernel, stride, bias):
            return nn.Conv2d(shape[0], channels, kernel, stride, padding(kernel, stride), bias=bias)
        case ("up", channels, kernel, stride, bias):
            around = padding(kernel, stride)
            more = stride + 2 * around - kernel
            return nn.ConvTranspose2d(shape[0], channels, kernel, stride, around, more, bias=bias)
        case ("norm", kept):
            # PyTorch's momentum is the fraction of the new.
            norm = nn.BatchNorm1d if len(shape) == 1 else nn.BatchNorm2d
            return norm(shape[0], momentum=1 - kept)
        case ("leaky", slope):
            return nn.LeakyReLU(slope)
        case ("tanh",):
            return nn.Tanh()
        case ("dropout", rate):
            return nn.Dropout(rate)
        case ("shape", (size,)):
            assert size == math.prod(shape)
            return nn.Flatten()
        case ("shape", wanted):
            return nn.Unflatten(1, wanted)
    raise ValueError(f"unknown layer {layer}")
