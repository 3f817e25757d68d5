"""Runs of variants of a recipe: trains them, and reads what their judge said."""

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNS = ROOT / "out" / "quality"
JUDGE = ROOT / "out" / "judge"
PROGRAM = ROOT / "target" / "release" / "digit-gan"


@dataclass
class Variant:
    recipe: str
    images: int
    changes: list[str] = field(default_factory=list)


def folder(group: str, title: str, seed: int) -> Path:
    words = "".join(letter if letter.isalnum() else "-" for letter in title.lower())
    return RUNS / group / ("-".join(filter(None, words.split("-"))) + f"-{seed}")


def train(group: str, title: str, variant: Variant, seed: int, judge_every: int, threads: int) -> None:
    """Trains it, or what is missing of it; the result does not depend on the threads, bit for bit."""
    out = folder(group, title, seed)
    command = [PROGRAM, "train", "--recipe", variant.recipe, "--seed", str(seed), "--images", str(variant.images), "--out", out]
    command += ["--judge", JUDGE, "--judge-every", str(judge_every)]
    for setting in [*variant.changes, "log_every=25", "checkpoint_every=1000000", "grid_every=1000000", "keep_checkpoints=1"]:
        command += ["--set", setting]
    environment = os.environ | dict.fromkeys(("RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"), str(threads))
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{out.name}: {done.stderr.strip()}")
    print(f"{out.name}: {judgements(group, title, seed)[-1]['frechet']:.2f}", flush=True)


def judgements(group: str, title: str, seed: int) -> list[dict]:
    """The judged lines of a run's statistics; none where there is no run."""
    stats = folder(group, title, seed) / "stats.jsonl"
    lines = map(json.loads, stats.read_text().splitlines() if stats.exists() else ())
    return [line for line in lines if line.get("frechet") is not None]
