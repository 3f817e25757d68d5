"""Which recipe draws the best digits for the time? Writes QUALITY.md: time to quality, and what was tried.

    make quality                     # hours on a small machine, which should have nothing else to do
    make quality QUALITY=--race      # time to quality alone
    make quality QUALITY=--pass=dense

Every run is judged as the notebooks judge theirs: the Fréchet distance of 10,000 samples to 10,000 training digits that were
held out of training. Trials are sorted by it; only the recipes are then reported on MNIST's test digits. Trials are
trained on one thread each, as many at a time as there are cores: their results do not depend on it, bit for bit. What was
trained already is not trained again.
"""

import argparse
import os
import statistics
import subprocess

import race
from runs import CONV, NORM, ROOT, SEEDS, SLOPE, UNPENALISED
from runs import Variant, judgements, layers, momentum, on_test_digits, rates, step_time, train_all


def generator(units: int, small: int, large: int) -> str:
    """A generator like lean's of these widths: a hidden layer, channels of 7x7, channels of 14x14."""
    dense = [[{"dense": {"units": width, "bias": False}}, NORM, SLOPE] for width in (units, 49 * small)]
    up = [{"conv_transpose2d": {"channels": n, "output_padding": 0, "bias": n == 1} | CONV} for n in (large, 1)]
    return layers("generator", [*sum(dense, []), {"reshape": {"shape": [small, 7, 7]}}, up[0], NORM, SLOPE, up[1], "tanh"])


def discriminator(first: int, second: int, units: int, outputs: int = 1) -> str:
    """A discriminator like lean's."""
    conv = [{"conv2d": {"channels": n, "bias": n == first} | CONV} for n in (first, second)]
    hidden, last = {"dense": {"units": units, "bias": False}}, {"dense": {"units": outputs, "bias": True}}
    return layers("discriminator", [conv[0], SLOPE, conv[1], NORM, SLOPE, "flatten", hidden, NORM, SLOPE, last])


FALLING = 'schedule={"linear":{"to":0.02}}'
OLD_ADAM = [*rates(5e-4, 5e-4), *momentum(0.5)]
# For each pass: the recipe, how many images, and what is changed, under the name that the table gives it.
PASSES = {
    "dense": (
        "dense",
        840_000,
        {
            "the recipe: R1 0.1 every 4th step, rates 1e-3, no momentum": [],
            "rates 5e-4": rates(5e-4, 5e-4),
            "rates 5e-4, momentum 0.5": OLD_ADAM,
            "rates 5e-4, momentum 0.5, hinge, no penalty": [*OLD_ADAM, "loss=hinge", *UNPENALISED],
        },
    ),
    "lean": (
        "lean",
        240_000,
        {
            "the recipe: G 512, 64, 32; D 16, 32, 256; rates 1e-3 and 5e-4": [],
            "G 1024, 128, 64; D 32, 64, 512": [generator(1024, 128, 64), discriminator(32, 64, 512)],
            "D 32, 64, 512": [discriminator(32, 64, 512)],
            "D 32, 64, 256": [discriminator(32, 64, 256)],
            "D 16, 32, 128": [discriminator(16, 32, 128)],
            "both rates 1e-3": rates(1e-3, 1e-3),
            "rates 1.5e-3 and 7.5e-4": rates(1.5e-3, 7.5e-4),
            "rates 1.5e-3 and 7.5e-4; G 512, 96, 48": [*rates(1.5e-3, 7.5e-4), generator(512, 96, 48)],
            "batch 32": ["batch_size=32"],
        },
    ),
    "lean, longer": (
        "lean",
        720_000,
        {
            "the recipe": [],
            "precision mixed": ["precision=mixed"],
            "precision bf16": ["precision=bf16"],
            "rates 1.5e-3 and 7.5e-4, falling to a fiftieth": [*rates(1.5e-3, 7.5e-4), FALLING],
        },
    ),
    "conditional": (
        "lean-conditional",
        720_000,
        {
            "the recipe": [],
            "momentum 0.5": momentum(0.5),
            "as lean: D with batch norm, no penalty, momentum 0.5, constant rates": [
                discriminator(16, 32, 256, outputs=11),
                *UNPENALISED,
                *momentum(0.5),
                *rates(1e-3, 5e-4),
                'schedule="constant"',
            ],
        },
    ),
}


def what(kind: str, variant: str) -> Variant:
    recipe, images, variants = PASSES[kind]
    return Variant(recipe, images, variants[variant])


def distances(kind: str, variant: str, seed: int) -> list[tuple[int, float]]:
    """The images and the distance of each judgement."""
    return [(line["images"], line["frechet"]) for line in judgements("trials", f"{kind} {variant}", seed)]


def table() -> str:
    text = []
    for kind, (recipe, images, variants) in PASSES.items():
        rows = []
        for variant in variants:
            runs = [distances(kind, variant, seed) for seed in SEEDS]
            values = [run[-1][1] for run in runs if run and run[-1][0] >= images]
            if values:
                rows.append((statistics.mean(values), variant, values))
        if rows:
            text.append(f"\n## {recipe}, {images:,} images\n\n| | mean | seeds | a step, ms |\n|---|---:|---|---:|")
        rows.sort()
        for mean, variant, values in rows:
            seeds = ", ".join(f"{value:.1f}" for value in values)
            text.append(f"| {variant} | {mean:.1f} | {seeds} | {step_time('trials', f'{kind} {variant}', what(kind, variant)):.1f} |")
        recipes = [variant for _, variant, _ in rows if "the recipe" in variant]
        text += ["\n" + on_test_digits(variant, "trials", f"{kind} {variant}", "--newest") for variant in recipes]
    return "\n".join(text) + "\n"


INTRO = """# Quality for the time

Written by [quality.py](quality.py) (`make quality`): Fréchet distances of 10,000 samples to 10,000 held-out training digits of
MNIST, in the features of the crate's judge; lower is better, and 10,000 real training digits are at {floor:.2f}. What is chosen
is chosen by these figures and by the time of a step, so the recipes are also reported on the test digits, which nothing was
chosen by.

{race}# What was tried

Seeds 1 to 3, as far as they were trained; the best on top. A variant differs from the recipe in what its name says and in
nothing else. G: units of the hidden layer, channels of 7x7 and of 14x14 pixels. D: channels of the two convolutions, units.
[SEARCH.md](SEARCH.md) has 180 more variants, which were trained on a GPU.
"""


def write() -> None:
    """QUALITY.md, from the runs that there are."""
    trials = [lines for kind in PASSES for variant in PASSES[kind][2] if (lines := judgements("trials", f"{kind} {variant}", 1))]
    floor = trials[0][0]["frechet_floor"]
    text = INTRO.format(floor=floor, race=race.section()) + table()
    (ROOT / "bench" / "QUALITY.md").write_text(text)
    print(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pass", dest="passes", choices=PASSES, action="append", help="only this one, and no race")
    parser.add_argument("--race", action="store_true", help="only the race")
    parser.add_argument("--table", action="store_true", help="write what was trained before, train nothing")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="trials at a time")
    options = parser.parse_args()
    build = ["cargo", "build", "--quiet", "--release", "--features", "cli", "--bin", "digit-gan"]
    subprocess.run(build, cwd=ROOT, check=True)
    if not options.table:
        if not options.passes:
            race.run(options.jobs)
        if not options.race:
            run_trials(options.passes or list(PASSES), options.jobs)
    write()


def run_trials(passes: list[str], jobs: int) -> None:
    trials = [(kind, variant, seed) for kind in passes for seed in SEEDS for variant in PASSES[kind][2]]
    train_all([("trials", f"{kind} {variant}", what(kind, variant), seed, 4) for kind, variant, seed in trials], jobs)


if __name__ == "__main__":
    main()
