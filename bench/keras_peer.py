"""Keras on TensorFlow: its step as a graph, or with --xla compiled by XLA; with --bf16 in mixed precision. Channels
last, TensorFlow's own layout.
"""

import math
import os

import peer

parser = peer.arguments()
parser.add_argument("--xla", action="store_true")
parser.add_argument("--bf16", action="store_true")
options = parser.parse_args()
os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": str(options.threads)}

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from workloads import LATENT, WORKLOADS

tf.config.threading.set_intra_op_parallelism_threads(options.threads)
tf.config.threading.set_inter_op_parallelism_threads(options.threads)
keras.utils.set_random_seed(42)
if options.bf16:
    keras.mixed_precision.set_global_policy("mixed_bfloat16")


def build(description: list, shape: tuple) -> keras.Sequential:
    """With an output in f32, as Keras's guide to mixed precision advises; without --bf16 it is f32 anyway."""
    output = layers.Activation("linear", dtype="float32")
    return keras.Sequential([keras.Input(shape), *(layer(*part) for part in description), output])


def layer(kind: str, *options) -> keras.Layer:
    match kind, *options:
        case "dense", units, bias:
            return layers.Dense(units, use_bias=bias)
        case "conv", channels, kernel, stride, bias:
            return layers.Conv2D(channels, kernel, stride, padding="same", use_bias=bias)
        case "up", channels, kernel, stride, bias:
            return layers.Conv2DTranspose(channels, kernel, stride, padding="same", use_bias=bias)
        case "norm", kept:
            return layers.BatchNormalization(momentum=kept, epsilon=1e-5)
        case "leaky", slope:
            return layers.LeakyReLU(negative_slope=slope)
        case "tanh",:
            return layers.Activation("tanh")
        case "dropout", rate:
            return layers.Dropout(rate)
        case "shape", (size,):
            return layers.Flatten()
        case "shape", (channels, height, width):
            return layers.Reshape((height, width, channels))
    raise ValueError(f"unknown layer {kind} {options}")


workload, batch = WORKLOADS[options.workload], options.batch
generator, discriminator = build(workload.generator, (LATENT,)), build(workload.discriminator, (28, 28, 1))
g_adam, d_adam = (keras.optimizers.Adam(workload.rate, workload.beta1, epsilon=1e-8) for _ in range(2))
g_adam.build(generator.trainable_variables)
d_adam.build(discriminator.trainable_variables)
real = tf.Variable(tf.random.uniform((batch, 28, 28, 1), -1, 1), trainable=False)


def cross_entropy(logits: tf.Tensor, target: float) -> tf.Tensor:
    targets = tf.fill(tf.shape(logits), target)
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(targets, logits))


@tf.function(jit_compile=options.xla)
def step() -> tuple[tf.Tensor, tf.Tensor]:
    with tf.GradientTape() as through_generator:
        fake = generator(tf.random.normal((batch, LATENT)), training=True)
    with tf.GradientTape() as through_discriminator:
        on_real, on_fake = discriminator(real, training=True), discriminator(fake, training=True)
        of_d = cross_entropy(on_real, 1.0) + cross_entropy(on_fake, 0.0)
    variables = discriminator.trainable_variables
    d_adam.apply(through_discriminator.gradient(of_d, variables), variables)
    # Gradients for the fakes alone: nothing is computed for the discriminator's weights.
    with tf.GradientTape(watch_accessed_variables=False) as to_fake:
        to_fake.watch(fake)
        of_g = cross_entropy(discriminator(fake, training=True), 1.0)
    variables = generator.trainable_variables
    g_adam.apply(through_generator.gradient(fake, variables, to_fake.gradient(of_g, fake)), variables)
    return of_d, of_g


@tf.function(jit_compile=options.xla)
def generate(count: int) -> tf.Tensor:
    return generator(tf.random.normal((count, LATENT)), training=False)


def show(images: np.ndarray) -> None:
    real.assign(images[..., None])


variables = generator.trainable_variables + discriminator.trainable_variables
parameters = sum(math.prod(variable.shape) for variable in variables)
peer.serve(f"Keras {keras.__version__} on TensorFlow {tf.__version__}", parameters, batch, step, generate, show)
