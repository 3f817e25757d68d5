"""What the kernel costs: `make bench-kernel`, or with the cold build `make bench-kernel COLD=--cold`.

Prints the waiting times of a notebook's reader beside those of stock evcxr, what live figures and Stop cost, and what
the same code takes in a cell and in a release binary.
"""

import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time

import psutil
from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpec
from rust_kernel import DEP, LISTENING, PRELUDE, ROOT, Kernel, alive, copy_of_the_clone

FIRST_TENSOR = "let tensor = Tensor::ones(3, DType::F32, &Device::Cpu)?;"
WORK = {path.stem: path.read_text() for path in sorted((ROOT / "crate/examples/bench_step").glob("*.in"))}
TURNS, ROUNDS = 5, 100  # rounds enough that what the kernel does around a cell does not count
# Notebook 1's loop, with and without the line in @: frames are rare, so the mean of many steps counts.
TRAINING = """{
    let mut d_adam = Adam::new(discriminator.parameters(), 2e-4, 0.5)?;
    let mut g_adam = Adam::new(generator.parameters(), 2e-4, 0.5)?;
    let (mut history, mut live) = (History::new(1, steps), Live::new());
    let began = std::time::Instant::now();
    for _ in 0..steps {
        let fake = generator.forward_t(&rng.normal((64, 100))?, true)?;
        let on_real = discriminator.forward_t(&real, true)?;
        let on_fake = discriminator.forward_t(&fake.detach(), true)?;
        let d_loss = (bce(&on_real, 1.0)? + bce(&on_fake, 0.0)?)?;
        d_adam.step(&d_loss)?;
        let g_loss = bce(&discriminator.frozen().forward_t(&fake, true)?, 1.0)?;
        g_adam.step(&g_loss)?;
        history.push(&d_loss, &g_loss, &on_real, &on_fake)?;
        @
    }
    live.training(&history, || generator.forward(&fixed_noise))?;
    println!("{}", began.elapsed().as_secs_f64() * 1e3 / steps as f64);
}"""
REAL = "let real = rng.uniform((64, 1, 28, 28), -1.0, 1.0)?;"
NETWORKS = WORK["step"].partition("let mut d_adam")[0].strip("{\n")


def main() -> None:
    rows = [("", "measured", "goal")]
    if "--cold" in sys.argv[1:]:
        rows.append(("cold build of all dependencies", f"{cold_build():.0f} s", ""))
        with Stock(ROOT / "notebooks") as stock:
            waited = sum(timed(stock, cell) for cell in (PRELUDE, FIRST_TENSOR))
            rows.append(("first cells, stock evcxr, at every start", f"{waited:.0f} s", ""))
    with Kernel():
        pass  # a rebuild after an edit of the crate is not what a restart costs
    with Stock(ROOT / "notebooks") as stock:
        theirs = answers(stock)
    with Kernel() as kernel:
        rows.append(("ready for a cell / stock evcxr", f"{answers(kernel):.1f} / {theirs:.1f} s", ""))
        first = [timed(kernel, cell) for cell in (PRELUDE, FIRST_TENSOR)]
        rows.append(("first cells: `:dep`, `use`, a tensor", f"{first[0]:.1f} + {first[1]:.1f} s", ""))
    with Kernel() as kernel:
        time.sleep(10)
        waited = sum(timed(kernel, cell) for cell in (PRELUDE, FIRST_TENSOR))
        rows.append(("the same, 10 s after opening", f"{waited:.1f} s", "2 s"))
        rows += compare(kernel)
    with Kernel(ROOT) as kernel, Stock(ROOT) as stock:
        for each in (kernel, stock):
            each.run("let first = 1;").text()
        rows.append(following(kernel, stock))
        rows += live(kernel)
    with Kernel() as kernel:
        rows.append(slowed(kernel))
    rows.append(left_behind())
    for name, measured, goal in rows:
        print(f"{name:<44}{measured:>28}{goal:>14}")


class Stock(Kernel):
    """evcxr_jupyter by itself."""

    def __init__(self, cwd):
        self.began = time.monotonic()
        self.manager = KernelManager()
        command = [shutil.which("evcxr_jupyter"), "--control_file", "{connection_file}"]
        self.manager._kernel_spec = KernelSpec(argv=command, display_name="stock", language="rust", interrupt_mode="message")
        self.manager.start_kernel(cwd=str(cwd))
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=120)


def answers(kernel: Kernel) -> float:
    """Seconds from the start to the end of a first, trivial cell."""
    kernel.run("let first = 1;").text()
    return time.monotonic() - kernel.began


def following(kernel: Kernel, stock: Kernel) -> tuple[str, str, str]:
    """Alternating, so that both see the same machine."""
    times = {kernel: [], stock: []}
    for n in range(20):
        for each in (kernel, stock):
            times[each].append(timed(each, f"let copy_{n} = first + {n};"))
    ours, theirs = (statistics.median(times[each]) for each in (kernel, stock))
    return "a following cell, median of 20 / stock evcxr", f"{ours:.2f} / {theirs:.2f} s", "+0.1 s"


def live(kernel: Kernel) -> list[tuple[str, str, str]]:
    """A frame of 100 KB, a Stop while a loop of 10 ms steps runs, and the memory of the kernel's own process."""
    kernel.run(LISTENING + 'let picture = "x".repeat(100_000);').text()
    update = r'message(&format!(r#"{{"type": "update", "id": "one", "data": {{"text/plain": "{picture}"}}}}"#));'
    shown = kernel.run(f"let began = std::time::Instant::now(); for _ in 0..100 {{ {update} pause(20); }} println!(\"{{}}\", began.elapsed().as_secs_f64() * 10.0 - 20.0);")
    stops = []
    for _ in range(5):
        asked = []

        def stop(asked=asked):
            asked.append(time.monotonic())
            kernel.client.control_channel.send(kernel.client.session.msg("interrupt_request", {}))

        timer = threading.Timer(1.5, stop)
        kernel.run('println!("busy"); loop { look()?; pause(10); }', hook=lambda m, t=timer: "busy" in str(m["content"]) and m["msg_type"] == "stream" and t.start())
        stops.append(time.monotonic() - asked[0])
    own = psutil.Process(kernel.pid).memory_info().rss / 2**20
    return [
        ("a live frame of 100 KB, in the cell", f"{float(shown.text()):.2f} ms", "2%"),
        ("Stop to idle, median of 5", f"{statistics.median(stops):.2f} s", "0.3 s + step"),
        ("memory of the kernel's own process", f"{own:.0f} MiB", ""),
    ]


def slowed(kernel: Kernel) -> tuple[str, str, str]:
    """A training that shows itself and one that does not, alternating."""
    kernel.run(f"{PRELUDE}\n{NETWORKS}\nlet (steps, fixed_noise) = (4000usize, rng.normal((40, 100))?);\n{REAL}").text()
    shows = "live.training(&history, || generator.forward(&fixed_noise))?;"
    times = {line: [] for line in ("", shows)}
    for _ in range(TURNS):
        for line in times:
            times[line].append(float(kernel.run(TRAINING.replace("@", line)).text()))
    alone, shown = map(statistics.median, times.values())
    return "a training step, alone / with a live figure", f"{alone:.3f} / {shown:.3f} ms = {shown / alone - 1:+.1%}", "2%"


def left_behind() -> tuple[str, str, str]:
    """Seconds from a SIGKILL of the kernel in the middle of a cell until nothing of it runs."""
    times = []
    for _ in range(3):
        kernel = Kernel(ROOT)
        kernel.run("let kept = 1;").text()
        kernel.client.execute('println!("busy"); loop { std::hint::black_box(0); }')
        kernel.wait_for_text("busy\n")
        processes = kernel.processes()
        kernel.client.stop_channels()
        began = time.monotonic()
        os.kill(kernel.pid, signal.SIGKILL)
        assert not alive(processes)
        times.append(time.monotonic() - began)
    return "killed to nothing left, longest of 3", f"{max(times):.2f} s", "5 s"


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
    try:
        with Kernel(copy_of_the_clone(copy)) as kernel:
            return timed(kernel, DEP)
    finally:
        shutil.rmtree(copy, ignore_errors=True)


if __name__ == "__main__":
    main()
