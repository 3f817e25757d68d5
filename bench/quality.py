"""Which recipe draws the best digits for the time? Trains variants, three seeds each, and writes QUALITY.md.

    make quality                     # hours on a small machine
    make quality QUALITY=--pass=dense

Every run is judged as the notebooks judge theirs: the Fréchet distance of 10,000 samples to 10,000 training digits that were
held out of training. The table is sorted by it; only the best of each table is then reported on MNIST's test digits. Runs
are trained on one thread each, as many at a time as there are cores: their results do not depend on it, bit for bit. What
was trained already is not trained again.
"""

import argparse
import json
import os
import statistics
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNS = ROOT / "out" / "quality" / "held-out"  # beside runs of before, which were trained on all digits
JUDGE = ROOT / "out" / "judge"
PROGRAM = ROOT / "target" / "release" / "digit-gan"
SEEDS = (1, 2, 3)


def rates(rate: float) -> list[str]:
    return [f"g_adam.learning_rate={rate}", f"d_adam.learning_rate={rate}"]


def without_norm(penalty: str) -> list[str]:
    """The lean discriminator without batch normalisation, which allows no exact penalty."""
    conv = {"kernel": 4, "stride": 2, "padding": 1, "bias": True}
    slope = {"leaky_relu": {"slope": 0.2}}
    layers = [{"conv2d": {"channels": 32} | conv}, slope, {"conv2d": {"channels": 64} | conv}, slope, "flatten"]
    layers += [{"dense": {"units": 512, "bias": True}}, slope, {"dense": {"units": 1, "bias": True}}]
    return [f"discriminator.layers={json.dumps(layers)}", f"penalty={penalty}"]


COSINE = 'schedule={"cosine":{"to":0.05}}'
CLASSIC = "loss=non_saturating"
# For each pass: the recipe, how many images, and what is changed, under the name that the table gives it.
PASSES = {
    "dense": (
        "dense",
        840_000,
        {
            "the recipe: hinge, rate 5e-4, average 40,000": [],
            "non-saturating": [CLASSIC],
            "non-saturating, rate 2e-4, average 10,000": [CLASSIC, *rates(2e-4), "ema_half_life=10000"],
            "non-saturating, average 10,000": [CLASSIC, "ema_half_life=10000"],
            "non-saturating, rate falls along a cosine": [CLASSIC, COSINE],
            "non-saturating, R1 0.1": [CLASSIC, 'penalty={"r1":{"gamma":0.1}}'],
        },
    ),
    "lean": (
        "lean",
        100_000,
        {
            "the recipe: non-saturating, rates 1e-3 and 5e-4, average 50,000": [],
            "both rates 1e-3": rates(1e-3),
            "both rates 5e-4": rates(5e-4),
            "both rates 5e-4, hinge": [*rates(5e-4), "loss=hinge"],
            "both rates 5e-4, falling along a cosine": [*rates(5e-4), COSINE],
            "both rates 5e-4, no batch norm in D, R1 0.1": [*rates(5e-4), *without_norm('{"r1":{"gamma":0.1}}')],
            "both rates 2e-4, average 10,000": [*rates(2e-4), "ema_half_life=10000"],
        },
    ),
    "lean, longer": (
        "lean",
        720_000,
        {"the recipe": [], "both rates 1e-3": rates(1e-3), "both rates 5e-4": rates(5e-4)},
    ),
}


def name(kind: str, variant: str, seed: int) -> str:
    words = "".join(letter if letter.isalnum() else "-" for letter in f"{kind} {variant}".lower())
    return "-".join(filter(None, words.split("-"))) + f"-{seed}"


def train(kind: str, variant: str, seed: int) -> None:
    recipe, images, variants = PASSES[kind]
    folder = RUNS / name(kind, variant, seed)
    command = [PROGRAM, "train", "--recipe", recipe, "--seed", str(seed), "--images", str(images), "--out", folder]
    command += ["--judge", JUDGE, "--judge-every", str(images // 3)]
    for setting in [*variants[variant], "log_every=125", "checkpoint_every=1000000", "grid_every=1000000", "keep_checkpoints=1"]:
        command += ["--set", setting]
    environment = os.environ | {"RAYON_NUM_THREADS": "1", "CANDLE_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{folder.name}: {done.stderr.strip()}")
    print(f"{folder.name}: {distances(folder)[-1][1]:.2f}", flush=True)


def distances(folder: Path) -> list[tuple[int, float]]:
    """The images and the distance of each judgement of a run; none where there is no run."""
    stats = folder / "stats.jsonl"
    lines = map(json.loads, stats.read_text().splitlines() if stats.exists() else ())
    return [(line["images"], line["frechet"]) for line in lines if line.get("frechet") is not None]


def on_test_digits(kind: str, variant: str) -> str:
    """What `digit-gan evaluate` reports of the runs of a variant."""
    runs = [RUNS / name(kind, variant, seed) for seed in SEEDS]
    command = [PROGRAM, "evaluate", "--judge", JUDGE, "--newest", *filter(Path.exists, runs)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return f"\nOn the test digits, {variant}:\n\n```text\n{done.stdout.strip()}\n```"


def table() -> str:
    text = []
    for kind, (recipe, images, variants) in PASSES.items():
        rows = []
        for variant in variants:
            runs = [distances(RUNS / name(kind, variant, seed)) for seed in SEEDS]
            values = [run[-1][1] for run in runs if run and run[-1][0] >= images]
            if values:
                rows.append((statistics.mean(values), variant, values))
        if rows:
            text.append(f"\n## {recipe}, {images:,} images\n\n| | mean | seeds |\n|---|---:|---|")
        rows.sort()
        for mean, variant, values in rows:
            text.append(f"| {variant} | {mean:.1f} | {', '.join(f'{value:.1f}' for value in values)} |")
        text += [on_test_digits(kind, variant) for _, variant, _ in rows[:1]]
    return "\n".join(text) + "\n"


INTRO = """# What was tried

Written by [quality.py](quality.py) (`make quality`): the Fréchet distance of 10,000 samples to 10,000 held-out training
digits of MNIST, in the features of the crate's judge, after the number of images in the title; lower is better, and 10,000
real training digits are at {floor:.2f}. Seeds 1 to 3, as far as they were trained; the best on top. A variant differs from
the recipe in what its name says and in nothing else. A step with R1 takes about twice as long. Variants are chosen by these
figures, so the best of each table is also reported on the test digits, which nothing was chosen by.
"""


def write() -> None:
    stats = next(RUNS.glob("*/stats.jsonl")).read_text().splitlines()[-1]
    text = INTRO.format(floor=json.loads(stats)["frechet_floor"]) + table()
    (ROOT / "bench" / "QUALITY.md").write_text(text)
    print(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pass", dest="passes", choices=PASSES, action="append", help="only this one")
    parser.add_argument("--table", action="store_true", help="write what was trained before, train nothing")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="runs at a time")
    options = parser.parse_args()
    build = ["cargo", "build", "--quiet", "--release", "--features", "cli", "--bin", "digit-gan"]
    subprocess.run(build, cwd=ROOT, check=True)
    if options.table:
        write()
        return
    jobs = [
        (kind, variant, seed)
        for kind, (_, _, variants) in PASSES.items()
        if not options.passes or kind in options.passes
        for seed in SEEDS
        for variant in variants
    ]
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(lambda job: train(*job), jobs))
    write()


if __name__ == "__main__":
    main()
