"""JAX with optax, the whole step compiled; with --bf16 in mixed precision. Channels last."""

import math
import os
from functools import partial
from typing import NamedTuple

import peer

parser = peer.arguments()
parser.add_argument("--bf16", action="store_true")
options = parser.parse_args()
os.environ |= {"JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": str(options.threads)}

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax, random

from workloads import LATENT, WORKLOADS, shapes

COMPUTE = jnp.bfloat16 if options.bf16 else jnp.float32
LAYOUT = ("NHWC", "HWIO", "NHWC")


class Network(NamedTuple):
    """What each layer learns, the running statistics of each, and what Adam keeps."""

    weights: list[dict]
    running: list[dict]
    moments: optax.OptState


def build(layers: list, shape: tuple, adam: optax.GradientTransformation, key: Array) -> Network:
    weights, running = [], []
    glorot = jax.nn.initializers.glorot_uniform()
    for (kind, *settings), before in zip(layers, shapes(layers, shape)):
        key, own = random.split(key)
        learned, statistics = {}, {}
        if kind in ("dense", "conv", "up"):
            taps = () if kind == "dense" else (settings[1], settings[1])
            channels = (settings[0], before[0]) if kind == "up" else (before[0], settings[0])
            learned["weight"] = glorot(own, (*taps, *channels))
            if settings[-1]:
                learned["bias"] = jnp.zeros(settings[0])
        elif kind == "norm":
            learned = {"gamma": jnp.ones(before[0]), "beta": jnp.zeros(before[0])}
            statistics = {"mean": jnp.zeros(before[0]), "variance": jnp.ones(before[0])}
        weights.append(learned)
        running.append(statistics)
    return Network(weights, running, adam.init(weights))


def forward(layers: list, weights: list, running: list, x: Array, key: Array | None) -> tuple[Array, list]:
    """The output in f32 and the new running statistics; in training with a key for dropout."""
    x, moved = x.astype(COMPUTE), []
    for layer, learned, statistics in zip(layers, weights, running):
        weight = learned["weight"].astype(COMPUTE) if "weight" in learned else None
        match layer:
            case ("dense", *_):
                x = x @ weight
            case ("conv", _, _, stride, _):
                x = conv(x, weight, stride)
            case ("up", _, _, stride, _):
                x = up(x, weight, stride)
            case ("norm", kept):
                x, statistics = normalised(x, learned, statistics, kept, key is not None)
            case ("leaky", slope):
                x = jax.nn.leaky_relu(x, slope)
            case ("tanh",):
                x = jnp.tanh(x)
            case ("dropout", rate) if key is not None:
                key, own = random.split(key)
                x = jnp.where(random.bernoulli(own, 1 - rate, x.shape), x / (1 - rate), 0)
            case ("shape", (_,)):
                x = x.reshape(len(x), -1)
            case ("shape", (channels, height, width)):
                x = x.reshape(len(x), height, width, channels)
        if "bias" in learned:
            x += learned["bias"].astype(COMPUTE)
        moved.append(statistics)
    return x.astype(jnp.float32), moved


def conv(x: Array, weight: Array, stride: int) -> Array:
    return lax.conv_general_dilated(x, weight, (stride, stride), "SAME", dimension_numbers=LAYOUT)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def up(x: Array, weight: Array, stride: int) -> Array:
    """A transposed convolution with its gradients written out, as those of the convolution that it transposes: XLA takes
    tens of times as long for the gradient of the weights that JAX would derive.
    """
    strides = (stride, stride)
    return lax.conv_transpose(x, weight, strides, "SAME", dimension_numbers=LAYOUT, transpose_kernel=True)


def up_forward(x: Array, weight: Array, stride: int) -> tuple[Array, tuple[Array, Array]]:
    return up(x, weight, stride), (x, weight)


def up_backward(stride: int, inputs: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, weight = inputs
    to_x, to_weight = jax.vjp(lambda weight: conv(gradient, weight, stride), weight)
    return to_x, *to_weight(x)


up.defvjp(up_forward, up_backward)


def normalised(x: Array, learned: dict, running: dict, kept: float, train: bool) -> tuple[Array, dict]:
    """In f32, whatever the layers around it compute in."""
    wide = x.astype(jnp.float32)
    if train:
        axes = tuple(range(x.ndim - 1))
        batch = {"mean": wide.mean(axes), "variance": wide.var(axes)}
        moved = jax.tree.map(lambda old, new: kept * old + (1 - kept) * new, running, lax.stop_gradient(batch))
    else:
        batch = moved = running
    scale = learned["gamma"] * lax.rsqrt(batch["variance"] + 1e-5)
    return ((wide - batch["mean"]) * scale + learned["beta"]).astype(x.dtype), moved


def cross_entropy(logits: Array, target: float) -> Array:
    return optax.sigmoid_binary_cross_entropy(logits, jnp.full_like(logits, target)).mean()


workload, batch = WORKLOADS[options.workload], options.batch
adam = optax.adam(workload.rate, workload.beta1)
through_g, through_d = partial(forward, workload.generator), partial(forward, workload.discriminator)
keys = random.split(random.key(42), 4)
networks = (
    build(workload.generator, (LATENT,), adam, keys[0]),
    build(workload.discriminator, (1, 28, 28), adam, keys[1]),
)
state = (networks, keys[2])
real = random.uniform(keys[3], (batch, 28, 28, 1), minval=-1, maxval=1)


def d_loss(weights: list, running: list, real: Array, fake: Array, keys: Array) -> tuple[Array, list]:
    on_real, running = through_d(weights, running, real, keys[0])
    on_fake, running = through_d(weights, running, fake, keys[1])
    return cross_entropy(on_real, 1.0) + cross_entropy(on_fake, 0.0), running


def learn(network: Network, gradients: list, running: list) -> Network:
    updates, moments = adam.update(gradients, network.moments)
    return Network(optax.apply_updates(network.weights, updates), running, moments)


@partial(jax.jit, donate_argnums=0)
def train(state: tuple, real: Array) -> tuple[tuple, tuple[Array, Array]]:
    (g, d), key = state
    key, *keys = random.split(key, 6)
    noise = random.normal(keys[0], (batch, LATENT))
    fake, to_weights, g_running = jax.vjp(lambda w: through_g(w, g.running, noise, keys[1]), g.weights, has_aux=True)
    learning = jax.value_and_grad(d_loss, has_aux=True)
    (of_d, d_running), gradients = learning(d.weights, d.running, real, fake, keys[2:4])
    d = learn(d, gradients, d_running)
    # Gradients for the fakes alone: nothing is computed for the discriminator's weights.
    judged = jax.value_and_grad(lambda images: cross_entropy(through_d(d.weights, d.running, images, keys[4])[0], 1.0))
    of_g, gradient = judged(fake)
    g = learn(g, *to_weights(gradient), g_running)
    return ((g, d), key), (of_d, of_g)


def step() -> tuple[Array, Array]:
    global state
    state, losses = train(state, real)
    return losses


@partial(jax.jit, static_argnums=2)
def drawn(g: Network, key: Array, count: int) -> tuple[Array, Array]:
    key, own = random.split(key)
    return through_g(g.weights, g.running, random.normal(own, (count, LATENT)), None)[0], key


def generate(count: int) -> Array:
    global state
    (g, d), key = state
    images, key = drawn(g, key, count)
    state = ((g, d), key)
    return images


def show(images: np.ndarray) -> None:
    global real
    real = jnp.asarray(images[..., None])


parameters = sum(math.prod(leaf.shape) for network in networks for leaf in jax.tree.leaves(network.weights))
peer.serve(f"JAX {jax.__version__}, optax {optax.__version__}", parameters, batch, step, generate, show)
