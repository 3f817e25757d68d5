"""The four GANs that are compared, as plain data: every peer in Python builds its layers from these lists, and the
driver counts their multiply-adds. `workloads.rs` builds the same in Rust.

A layer is a tuple: ("dense", units, bias), ("conv", channels, kernel, stride, bias), ("up", channels, kernel, stride,
bias) for a transposed convolution, ("norm", fraction of the old running statistics that is kept), ("leaky", slope),
("tanh",), ("dropout", rate), ("shape", dimensions). Convolutions are padded so that the stride alone decides the size.
A layer in front of a batch normalisation has no bias where the original has none, or where it would be subtracted.
"""

from typing import NamedTuple

LATENT = 100


class Workload(NamedTuple):
    title: str
    generator: list
    discriminator: list
    rate: float
    beta1: float


W1 = Workload(
    "dense GAN (Keras-GAN's gan.py)",
    [layer for units in (256, 512, 1024) for layer in (("dense", units, True), ("leaky", 0.2), ("norm", 0.8))]
    + [("dense", 784, True), ("tanh",), ("shape", (1, 28, 28))],
    [("shape", (784,)), ("dense", 512, True), ("leaky", 0.2), ("dense", 256, True), ("leaky", 0.2), ("dense", 1, True)],
    2e-4,
    0.5,
)

W2 = Workload(
    "DCGAN (TensorFlow's tutorial)",
    [("dense", 7 * 7 * 256, False), ("norm", 0.99), ("leaky", 0.3), ("shape", (256, 7, 7))]
    + [("up", 128, 5, 1, False), ("norm", 0.99), ("leaky", 0.3)]
    + [("up", 64, 5, 2, False), ("norm", 0.99), ("leaky", 0.3)]
    + [("up", 1, 5, 2, False), ("tanh",)],
    [("conv", 64, 5, 2, True), ("leaky", 0.3), ("dropout", 0.3)]
    + [("conv", 128, 5, 2, True), ("leaky", 0.3), ("dropout", 0.3)]
    + [("shape", (128 * 7 * 7,)), ("dense", 1, True)],
    1e-4,
    0.9,
)

def compact(title: str, generator: tuple, discriminator: tuple, rate: float) -> Workload:
    """The generator's hidden units and its channels of 7x7 and 14x14 pixels; the discriminator's channels and units."""
    (hidden, small, large), (first, second, units) = generator, discriminator
    return Workload(
        title,
        [("dense", hidden, False), ("norm", 0.9), ("leaky", 0.2)]
        + [("dense", small * 7 * 7, False), ("norm", 0.9), ("leaky", 0.2), ("shape", (small, 7, 7))]
        + [("up", large, 4, 2, False), ("norm", 0.9), ("leaky", 0.2)]
        + [("up", 1, 4, 2, True), ("tanh",)],
        [("conv", first, 4, 2, True), ("leaky", 0.2)]
        + [("conv", second, 4, 2, False), ("norm", 0.9), ("leaky", 0.2), ("shape", (second * 7 * 7,))]
        + [("dense", units, False), ("norm", 0.9), ("leaky", 0.2), ("dense", 1, True)],
        rate,
        0.5,
    )


W3 = compact("compact GAN (Lucic et al. 2018)", (1024, 128, 64), (64, 128, 1024), 2e-4)

# The recipe's generator has twice this learning rate; a step costs the same with either.
W4 = compact("our default recipe, lean", (512, 64, 32), (16, 32, 256), 5e-4)

WORKLOADS = {"W1": W1, "W2": W2, "W3": W3, "W4": W4}


def padding(kernel: int, stride: int) -> int:
    return -(-max(kernel - stride, 0) // 2)


def shapes(layers: list, shape: tuple) -> list[tuple]:
    """The shape of one sample before each layer, and after the last."""
    before = [shape]
    for kind, *options in layers:
        if kind == "dense":
            shape = (options[0],)
        elif kind == "conv":
            shape = (options[0], shape[1] // options[2], shape[2] // options[2])
        elif kind == "up":
            shape = (options[0], shape[1] * options[2], shape[2] * options[2])
        elif kind == "shape":
            shape = options[0]
        before.append(shape)
    return before


def parameters(layers: list, shape: tuple) -> int:
    """How many numbers the network learns."""
    count = 0
    for (kind, *options), before in zip(layers, shapes(layers, shape)):
        if kind in ("dense", "conv", "up"):
            taps = options[1] ** 2 if kind != "dense" else 1
            count += options[0] * (before[0] * taps + options[-1])
        elif kind == "norm":
            count += 2 * before[0]
    return count


def products(layers: list, shape: tuple, skip_padding: bool) -> list[int]:
    """Multiply-adds of one sample's forward pass, for each layer that has weights."""
    counts = []
    for (kind, *options), before, after in zip(layers, shapes(layers, shape), shapes(layers, shape)[1:]):
        if kind == "dense":
            counts.append(before[0] * after[0])
        elif kind in ("conv", "up"):
            # A transposed convolution does the work of the convolution from its output to its input.
            large, small = (before, after) if kind == "conv" else (after, before)
            taps = kernel_taps(large[1], small[1], *options[1:3], skip_padding)
            counts.append(before[0] * after[0] * taps * taps)
    return counts


def kernel_taps(large: int, small: int, kernel: int, stride: int, skip_padding: bool) -> int:
    """Along one dimension: pairs of a kernel's tap and a position, those that fall on padding left out or not."""
    if not skip_padding:
        return small * kernel
    starts = (position * stride - padding(kernel, stride) for position in range(small))
    return sum(0 <= start + tap < large for start in starts for tap in range(kernel))


def step_products(workload: Workload, batch: int, skip_padding: bool = True) -> int:
    """Multiply-adds that one training step needs: three forward and three backward passes of the discriminator and one
    of each of the generator, without the gradients that nobody uses (of the noise; of the images and the
    discriminator's weights where the other network learns).
    """
    generator = products(workload.generator, (LATENT,), skip_padding)
    discriminator = products(workload.discriminator, (1, 28, 28), skip_padding)
    d_update = 2 * (3 * sum(discriminator) - discriminator[0])  # forward, weights, inputs; on real and on fake
    g_update = 3 * sum(generator) - generator[0] + 2 * sum(discriminator)
    return batch * (d_update + g_update)
