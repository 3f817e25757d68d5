"""What every peer in Python shares: its arguments, and the lines it exchanges with the driver.

After `ready`, its number of parameters and a description of itself, a peer answers each line of its input with the
seconds that the work took: `step N` trains N steps, `generate N BATCH` draws N samples.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("workload")
    parser.add_argument("batch", type=int)
    parser.add_argument("threads", type=int)
    return parser


def serve(
    description: str, parameters: int, step: Callable[[], tuple], generate: Callable[[int], object]
) -> None:
    """`step` trains once and returns both losses; `generate` makes a batch of samples. Converting a result to numbers
    waits for it, wherever the peer computes in the background.
    """
    for _ in range(3):
        step()
    print("ready", parameters, description, flush=True)
    for line in sys.stdin:
        command, count, *batch = line.split()
        began = time.perf_counter()
        if command == "step":
            for _ in range(int(count)):
                losses = step()
            losses = [float(loss) for loss in losses]
            if not all(map(math.isfinite, losses)):
                raise SystemExit(f"{description}: the losses are {losses}")
        else:
            for _ in range(0, int(count), int(batch[0])):
                images = generate(int(batch[0]))
            float(images[0, 0, 0, 0])
        print(time.perf_counter() - began, flush=True)
