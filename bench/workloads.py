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
    classes: int = 0  # of a conditional GAN: one-hot beside the noise, and as many more outputs, see VARIANTS
    penalty: str = ""  # on the slope of the discriminator: "r1" or "wgan-gp"

    def inputs(self) -> tuple:
        return (LATENT + self.classes,)


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


def compact(
    title: str, generator: tuple, discriminator: tuple, rate: float, classes: int = 0, penalty: str = ""
) -> Workload:
    """The generator's hidden units and its channels of 7x7 and 14x14 pixels; the discriminator's channels and units.
    Under a penalty the discriminator has biases instead of normalisation, which would mix the gradients of a batch.
    """
    bias, norm = (True, []) if penalty else (False, [("norm", 0.9)])
    (hidden, small, large), (first, second, units) = generator, discriminator
    return Workload(
        title,
        [("dense", hidden, False), ("norm", 0.9), ("leaky", 0.2)]
        + [("dense", small * 7 * 7, False), ("norm", 0.9), ("leaky", 0.2), ("shape", (small, 7, 7))]
        + [("up", large, 4, 2, False), ("norm", 0.9), ("leaky", 0.2)]
        + [("up", 1, 4, 2, True), ("tanh",)],
        [("conv", first, 4, 2, True), ("leaky", 0.2)]
        + [("conv", second, 4, 2, bias), *norm, ("leaky", 0.2), ("shape", (second * 7 * 7,))]
        + [("dense", units, bias), *norm, ("leaky", 0.2), ("dense", 1 + classes, True)],
        rate,
        0.5,
        classes,
        penalty,
    )


W3_WIDTHS, W4_WIDTHS = ((1024, 128, 64), (64, 128, 1024)), ((512, 64, 32), (16, 32, 256))
W3 = compact("compact GAN (Lucic et al. 2018)", *W3_WIDTHS, 2e-4)

# The recipe's generator has twice this learning rate; a step costs the same with either.
W4 = compact("our default recipe, lean", *W4_WIDTHS, 5e-4)

WORKLOADS = {"W1": W1, "W2": W2, "W3": W3, "W4": W4}

# Other steps on the same networks. The logit of an image is the sum of the discriminator's first output and of that of
# its class. "r1": 1/2 mean |gradient|^2 of the logit at the real images, beside cross-entropy. "wgan-gp": 10 mean
# (|gradient| - 1)^2 at random points between real and generated images, beside the means of the logits; one update of
# the discriminator a step, as for all.
VARIANTS = {
    "W4-conditional": compact("lean with ten classes", *W4_WIDTHS, 5e-4, classes=10),
    "W3-r1": compact("W3 with R1", *W3_WIDTHS, 2e-4, penalty="r1"),
    "W3-wgan-gp": compact("W3 as WGAN-GP", *W3_WIDTHS, 2e-4, penalty="wgan-gp"),
}


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
    discriminator's weights where the other network learns). A penalty is not counted.
    """
    generator = products(workload.generator, workload.inputs(), skip_padding)
    discriminator = products(workload.discriminator, (1, 28, 28), skip_padding)
    d_update = 2 * (3 * sum(discriminator) - discriminator[0])  # forward, weights, inputs; on real and on fake
    g_update = 3 * sum(generator) - generator[0] + 2 * sum(discriminator)
    return batch * (d_update + g_update)
