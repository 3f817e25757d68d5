"""How soon does a GAN draw digits that look real? Our recipes, and the networks of three tutorials as these train them.

All are trained by this crate: what counts is the networks and their settings, not whose code runs them (a step of the
tutorials' own frameworks takes longer, see RESULTS.md). Seconds are the steps times the time of one, measured with nothing
else running; judging is not counted.
"""

import statistics
import subprocess

from runs import CONV, NORM, ROOT, SEEDS, SLOPE, UNPENALISED, Variant
from runs import folder, judgements, layers, momentum, on_test_digits, rates, step_time, train_all

LEVELS = (20, 10, 5, 4)
ASKED = 0.98
PICTURE = ROOT / "bench" / "quality.png"


def tutorial(batch: int, rate: float, beta1: float) -> list[str]:
    """The original's loss, no penalty, no moving average."""
    plain = [f"batch_size={batch}", "loss=non_saturating", *UNPENALISED, "ema_half_life=null"]
    return [*plain, *rates(rate, rate), *momentum(beta1)]


def pytorch_example() -> list[str]:
    """PyTorch's DCGAN example (examples/dcgan/main.py, ngf = ndf = 64) without its outer stages: 7x7 to 28x28."""
    conv = CONV | {"bias": False}
    up = [{"conv_transpose2d": {"channels": channels, "output_padding": 0} | conv} for channels in (64, 1)]
    down = [{"conv2d": {"channels": channels} | conv} for channels in (64, 128)]
    start = [{"dense": {"units": 128 * 49, "bias": False}}, NORM, "relu", {"reshape": {"shape": [128, 7, 7]}}]
    end = ["flatten", {"dense": {"units": 1, "bias": False}}]
    return [
        layers("generator", [*start, up[0], NORM, "relu", up[1], "tanh"]),
        layers("discriminator", [down[0], SLOPE, down[1], NORM, SLOPE, *end]),
    ]


# Images that show where each is going. Twenty judgements a run.
RACE = {
    "lean": Variant("lean", 2_400_000),
    "lean-conditional": Variant("lean-conditional", 1_200_000),
    "dense": Variant("dense", 1_500_000),
    "TensorFlow's DCGAN tutorial": Variant("dcgan", 300_000, tutorial(256, 1e-4, 0.9)),
    "Keras-GAN's gan.py": Variant("dense", 1_500_000, tutorial(32, 2e-4, 0.5)),
    "PyTorch's DCGAN example, at 28x28": Variant("lean", 600_000, [*tutorial(64, 2e-4, 0.5), *pytorch_example()]),
}


def run(jobs: int) -> None:
    trials = [(title, seed) for seed in SEEDS for title in RACE]
    train_all([("race", title, RACE[title], seed, 20) for title, seed in trials], jobs)


def median(values: list[float | None]) -> str:
    """Of seconds; a run that never got there counts as the slowest."""
    found = sorted(float("inf") if value is None else value for value in values)
    middle = statistics.median_low(found)
    return "never" if middle == float("inf") else f"{middle:.0f}"


def first(lines: list[dict], step: float, reached) -> float | None:
    """Seconds, with steps of so many milliseconds."""
    return next((line["step"] * step / 1000 for line in lines if reached(line)), None)


def table() -> str:
    """Seconds until each level, medians over the seeds."""
    titles = [f"Fréchet {level}" for level in LEVELS] + ["98% as asked", "best", "step, ms"]
    rows = [f"| | {' | '.join(titles)} |", "|---|" + "---:|" * len(titles)]
    for title in RACE:
        found = [lines for seed in SEEDS if (lines := judgements("race", title, seed))]
        if not found:
            continue
        step = step_time("race", title, RACE[title])
        seconds = lambda reached: [first(lines, step, reached) for lines in found]
        cells = [median(seconds(lambda line: line["frechet"] <= level)) for level in LEVELS]
        asked = seconds(lambda line: line["class_accuracy"] >= ASKED) if "class_accuracy" in found[0][0] else []
        cells += [median(asked) if asked else ""]
        best = [min(line["frechet"] for line in lines) for lines in found]
        cells += [f"{statistics.mean(best):.1f}"]
        cells += [f"{step:.1f}"]
        rows.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(rows)


def draw() -> None:
    """The first seed's distances over seconds, a line each."""
    drawn = [title for title in RACE if judgements("race", title, 1)]
    folders = [f"{title}={step_time('race', title, RACE[title])}={folder('race', title, 1)}" for title in drawn]
    command = ["cargo", "run", "--quiet", "--release", "--features", "cli", "--example", "race", "--", PICTURE, *folders]
    subprocess.run(command, cwd=ROOT, check=True)


SECTION = """## Seconds to a distance

Our recipes, and the networks of three tutorials as these train them (batch, rates, loss, no moving average), all trained by
this crate on two cores and judged by the same judge. Medians over the seeds 1 to 3, as far as they were trained; seconds are
the steps times the time of one. "98% as asked": of samples, in which the judge sees the digit asked for.
The learning rates of lean-conditional fall until the end of its run, where it is at its best; a shorter run gets there sooner.
TensorFlow's tutorial goes on for fifty epochs, of which these are five.

![Distance over seconds](quality.png)

{table}

{reports}

"""


def section() -> str:
    """With its picture; empty before anything has been trained."""
    if not any(judgements("race", title, 1) for title in RACE):
        return ""
    draw()
    # What is conditional can teach a classifier as well, which takes minutes.
    reported = {"lean": [], "lean-conditional": ["--tstr"]}
    reports = [on_test_digits(f"best checkpoints of {title}", "race", title, *flags) for title, flags in reported.items()]
    return SECTION.format(table=table(), reports="\n\n".join(reports))
