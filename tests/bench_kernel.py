"""What the kernel costs: `make bench-kernel`, or with the cold build `make bench-kernel COLD=--cold`.

Prints the waiting times of a notebook's reader, and what the same code takes in a cell and in a release binary.
"""

import re
import shutil
import statistics
import subprocess
import sys
import time

from rust_kernel import DEP, PRELUDE, ROOT, Kernel

FIRST_TENSOR = "let tensor = Tensor::ones(3, DType::F32, &Device::Cpu)?;"
WORK = {path.stem: path.read_text() for path in sorted((ROOT / "crate/examples/bench_step").glob("*.in"))}
TURNS, ROUNDS = 5, 100  # rounds enough that what the kernel does around a cell does not count


def main() -> None:
    rows = [("", "measured", "goal")]
    if "--cold" in sys.argv[1:]:
        rows.append(("cold build of all dependencies", f"{cold_build():.0f} s", ""))
    with Kernel():
        pass  # a rebuild after an edit of the crate is not what a restart costs
    with Kernel() as kernel:
        ready = time.monotonic() - kernel.began
        first = [timed(kernel, cell) for cell in (PRELUDE, FIRST_TENSOR)]
        following = [timed(kernel, f"let copy_{n} = tensor.clone();") for n in range(20)]
        rows.append(("kernel ready after a restart", f"{ready:.1f} s", ""))
        rows.append(("first cell: `:dep` and `use`", f"{first[0]:.1f} s", "10 s"))
        rows.append(("first cell that makes a tensor", f"{first[1]:.1f} s", ""))
        rows.append(("a following cell, median of 20", f"{statistics.median(following):.2f} s", "0.6 s"))
        rows += compare(kernel)
    for name, measured, goal in rows:
        print(f"{name:<34}{measured:>26}{goal:>8}")


def timed(kernel: Kernel, cell: str) -> float:
    shown = kernel.run(cell)
    shown.text()
    return shown.seconds


def compare(kernel: Kernel) -> list[tuple[str, str, str]]:
    """Cell and binary in turn, so that both see the same machine; medians over all rounds."""
    build = ["cargo", "build", "--quiet", "--release", "--package", "digit-gan", "--example", "bench_step"]
    subprocess.run(build, cwd=ROOT, check=True)
    binary = ROOT / "target/release/examples/bench_step"
    kernel.run(f"let rounds = {ROUNDS}usize;").text()
    times = {(name, place): [] for name in WORK for place in ("cell", "binary")}
    for _ in range(TURNS):
        keep(times, "cell", "".join(kernel.run(work).text() + "\n" for work in WORK.values()))
        keep(times, "binary", subprocess.run([binary, str(ROUNDS)], capture_output=True, text=True, check=True).stdout)
    rows = []
    for name in WORK:
        cell, alone = (statistics.median(times[name, place]) for place in ("cell", "binary"))
        rows.append((f"{name}, cell / release binary", f"{cell:.2f} / {alone:.2f} ms = {cell / alone:.3f}", "1.05"))
    return rows


def keep(times: dict, place: str, printed: str) -> None:
    for name, milliseconds in re.findall(r"^(\w+) ([\d.]+)$", printed, re.M):
        times[name, place].append(float(milliseconds))


def cold_build() -> float:
    """In a copy of the clone that has no compiled dependencies; the registry's downloads are there already."""
    copy = ROOT / "target" / "bench-clone"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(ROOT / "crate", copy / "crate")
    (copy / "notebooks").mkdir()
    for name in ("Cargo.toml", "Cargo.lock"):
        shutil.copyfile(ROOT / name, copy / name)
    try:
        with Kernel(copy / "notebooks") as kernel:
            return timed(kernel, DEP)
    finally:
        shutil.rmtree(copy, ignore_errors=True)


if __name__ == "__main__":
    main()
