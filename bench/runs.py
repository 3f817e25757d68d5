"""Runs of variants of a recipe: trains them, and reads what their judge said."""

import json
import os
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNS = ROOT / "out" / "quality"
JUDGE = ROOT / "out" / "judge"
PROGRAM = ROOT / "target" / "release" / "digit-gan"
SEEDS = (1, 2, 3)

# What networks are made of, as a recipe has it.
NORM, SLOPE = {"batch_norm": {"momentum": 0.9, "epsilon": 1e-5}}, {"leaky_relu": {"slope": 0.2}}
CONV = {"kernel": 4, "stride": 2, "padding": 1}


def layers(network: str, layers: list) -> str:
    return f"{network}.layers={json.dumps(layers)}"


def rates(generator: float, discriminator: float) -> list[str]:
    return [f"g_adam.learning_rate={generator}", f"d_adam.learning_rate={discriminator}"]


def momentum(beta1: float) -> list[str]:
    return [f"{which}_adam.beta1={beta1}" for which in "gd"]


UNPENALISED = ["penalty=null", "penalty_every=1"]


@dataclass
class Variant:
    recipe: str
    images: int
    changes: list[str] = field(default_factory=list)


def folder(group: str, title: str, seed: int) -> Path:
    words = "".join(letter if letter.isalnum() else "-" for letter in title.lower())
    return RUNS / group / ("-".join(filter(None, words.split("-"))) + f"-{seed}")


def command(variant: Variant, images: int, out: Path, log_every: int) -> list:
    """A training that writes statistics alone."""
    settings = [f"log_every={log_every}", "checkpoint_every=1000000", "grid_every=1000000", "keep_checkpoints=1"]
    program = [PROGRAM, "train", "--recipe", variant.recipe, "--images", str(images), "--out", out]
    return program + [word for setting in [*variant.changes, *settings] for word in ("--set", setting)]


def train(group: str, title: str, variant: Variant, seed: int, judged: int) -> None:
    """Trains it, or what is missing of it, on one thread: the result does not depend on it, bit for bit. It is judged that
    many times.
    """
    out = folder(group, title, seed)
    judge = ["--seed", str(seed), "--judge", JUDGE, "--judge-every", str(variant.images // judged)]
    environment = os.environ | dict.fromkeys(("RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"), "1")
    done = subprocess.run(command(variant, variant.images, out, 25) + judge, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{out.name}: {done.stderr.strip()}")
    print(f"{out.name}: {judgements(group, title, seed)[-1]['frechet']:.2f}", flush=True)


def train_all(trials: list[tuple], jobs: int) -> None:
    """The arguments of several trainings, as many at a time."""
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(lambda trial: train(*trial), trials))


def step_time(group: str, title: str, variant: Variant) -> float:
    """Milliseconds of a step on all cores: the best of a few seconds of training, kept beside the first seed's run."""
    kept = folder(group, title, 1) / "step_ms"
    if not kept.exists():
        with tempfile.TemporaryDirectory() as parent:
            run = Path(parent) / "run"
            short = command(variant, 200 * batch(group, title), run, log_every=25)
            subprocess.run(short, capture_output=True, check=True)
            lines = statistics_of(run)
        steps = [(after["seconds"] - before["seconds"]) / 25 for before, after in zip(lines[:-1], lines[1:])]
        kept.write_text(f"{1000 * min(steps)}")
    return float(kept.read_text())


def on_test_digits(what: str, group: str, title: str, *flags: str) -> str:
    """What `digit-gan evaluate` says of the judged seeds of a run. As it may take minutes, it is kept beside the first, until one
    of them has trained on; empty where there is none.
    """
    runs = [folder(group, title, seed) for seed in SEEDS if judgements(group, title, seed)]
    if not runs:
        return ""
    kept = runs[0] / f"report-of-{len(runs)}"
    if not kept.exists() or kept.stat().st_mtime < max((run / "stats.jsonl").stat().st_mtime for run in runs):
        command = [PROGRAM, "evaluate", "--judge", JUDGE, *flags, *runs]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        kept.write_text(done.stdout)
    _digits, report = kept.read_text().strip().split("\n\n")
    return f"On the test digits, {what}:\n\n```text\n{report}\n```"


def batch(group: str, title: str) -> int:
    return json.loads((folder(group, title, 1) / "recipe.json").read_text())["batch_size"]


def judgements(group: str, title: str, seed: int) -> list[dict]:
    """The judged lines of a run's statistics; none where there is no run."""
    return [line for line in statistics_of(folder(group, title, seed)) if line.get("frechet") is not None]


def statistics_of(run: Path) -> list[dict]:
    """The lines of a run's statistics; none where there is no run."""
    stats = run / "stats.jsonl"
    return [json.loads(line) for line in (stats.read_text().splitlines() if stats.exists() else ())]
