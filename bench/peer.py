"""What every peer in Python shares: its arguments, and the lines it exchanges with the driver.

After `ready`, its number of parameters and a description of itself, a peer answers each line of its input with the
seconds that the work took: `step N` trains N steps, `generate N BATCH` draws N samples. `losses N` trains N steps on
MNIST instead of noise and is answered with the mean losses of the discriminator and of the generator.
"""

import argparse
import gzip
import itertools
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("workload")
    parser.add_argument("batch", type=int)
    parser.add_argument("threads", type=int)
    return parser


def digits(batch: int) -> Iterator[np.ndarray]:
    """MNIST's training images in the order of their file, again and again: (batch, 28, 28) in [-1, 1]."""
    folder = os.environ.get("MNIST_DIR") or Path(__file__).resolve().parent.parent / "data" / "mnist"
    path = Path(folder) / "train-images-idx3-ubyte"
    data = path.read_bytes() if path.exists() else gzip.decompress(path.with_name(path.name + ".gz").read_bytes())
    images = np.frombuffer(data, np.uint8, offset=16).reshape(-1, 28, 28)
    for start in itertools.count(0, batch):
        indices = range(start, start + batch)
        yield images.take(indices, axis=0, mode="wrap").astype(np.float32) / 127.5 - 1


def serve(
    description: str,
    parameters: int,
    batch: int,
    step: Callable[[], tuple],
    generate: Callable[[int], object],
    show: Callable[[np.ndarray], None],
) -> None:
    """`step` trains once and returns both losses; `generate` makes a batch of samples; `show` sets the real images of the
    next steps. Converting a result to numbers waits for it, wherever the peer computes in the background.
    """
    for _ in range(3):
        step()
    print("ready", parameters, description, flush=True)
    real = digits(batch)
    for line in sys.stdin:
        command, count, *size = line.split()
        began = time.perf_counter()
        if command == "losses":
            print(*mean_losses(step, show, itertools.islice(real, int(count))), flush=True)
            continue
        if command == "step":
            for _ in range(int(count)):
                losses = step()
            losses = [float(loss) for loss in losses]
            if not all(map(math.isfinite, losses)):
                raise SystemExit(f"{description}: the losses are {losses}")
        else:
            for _ in range(0, int(count), int(size[0])):
                images = generate(int(size[0]))
            float(images[0, 0, 0, 0])
        print(time.perf_counter() - began, flush=True)


def mean_losses(
    step: Callable[[], tuple], show: Callable[[np.ndarray], None], real: Iterator[np.ndarray]
) -> np.ndarray:
    losses = []
    for images in real:
        show(images)
        losses.append([float(loss) for loss in step()])
    return np.mean(losses, axis=0)
