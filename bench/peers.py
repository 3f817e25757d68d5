"""The peers: how each is installed, started and spoken to."""

import os
import signal
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import NamedTuple

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
VENV = ROOT / ".venv-bench"
PYTHON = VENV / ("Scripts" if os.name == "nt" else "bin") / "python"
OURS = ROOT / "target/release/examples/bench"
BURN = BENCH / "burn/target/release/bench-burn"
CARGO = ["cargo", "build", "--release", "--quiet"]


class Peer(NamedTuple):
    title: str
    install: str
    command: list  # {w}, {b}, {t}: workload, batch, threads
    environment: dict = {}
    largest: int = 10**9  # above this batch it would keep the others waiting for minutes
    precision: str = "f32"  # or "bf16": layers compute in bfloat16, weights and Adam stay f32


def python(script: str, *flags: str) -> list:
    return [PYTHON, BENCH / script, "{w}", "{b}", "{t}", *flags]


# Keeps large blocks instead of giving them back to the system after each use: 5 to 10% of PyTorch's step, and nothing
# or less than nothing for the others.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**32)}
# Pages of 2 MiB, up to a sixth of a step. Our kernel and our program set it for themselves.
LARGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", "THP_MEM_ALLOC_ENABLE": "1"}


def both(name: str, peer: Peer, *, flag: str = "--bf16") -> dict[str, Peer]:
    """The peer in f32 and, by one more argument, in mixed precision."""
    mixed = peer._replace(title=f"{peer.title}, bf16", command=[*peer.command, flag], precision="bf16")
    return {name: peer, f"{name}-bf16": mixed}


TORCH = "torch_peer.py"
PEERS = {
    **both("ours", Peer("ours", "ours", [OURS, "ours", "{w}", "{b}"]), flag="bf16"),
    "ours-mixed": Peer("ours, mixed", "ours", [OURS, "ours", "{w}", "{b}", "mixed"], precision="bf16"),
    "candle": Peer("candle-nn", "ours", [OURS, "candle", "{w}", "{b}"], largest=256),
    **both("torch", Peer("PyTorch", "pytorch", python(TORCH), KEEP_MEMORY)),
    **both("torch-compile", Peer("PyTorch, compiled", "pytorch", python(TORCH, "--compile"), KEEP_MEMORY)),
    **both("keras", Peer("Keras", "keras", python("keras_peer.py"))),
    **both("keras-xla", Peer("Keras, XLA", "keras", python("keras_peer.py", "--xla"))),
    **both("jax", Peer("JAX", "jax", python("jax_peer.py"))),
    "burn": Peer("burn", "burn", [BURN, "{w}", "{b}"]),
}
PEERS = {name: peer._replace(environment=peer.environment | LARGE_PAGES) for name, peer in PEERS.items()}


def install(peers: list[str]) -> tuple[list[str], dict[str, str]]:
    """Builds and installs what these peers need. Those that can run, and of the others why they cannot."""
    failed = {}
    for what in dict.fromkeys(PEERS[name].install for name in peers):
        print(f"Setting up {what} ...", file=sys.stderr, flush=True)
        requirements = BENCH / f"requirements-{what}.txt"
        if not VENV.exists() and requirements.exists():
            venv.create(VENV, with_pip=True)
        command = {
            "ours": [*CARGO, "--package", "digit-gan", "--example", "bench"],
            "burn": [*CARGO, "--manifest-path", BENCH / "burn/Cargo.toml"],
        }.get(what, [PYTHON, "-m", "pip", "install", "--quiet", "--requirement", requirements])
        done = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            print(done.stderr, f"{what} cannot be set up (see above) and is left out.", file=sys.stderr)
            failed[what] = last_line(done.stderr)
    missing = {name: failed[PEERS[name].install] for name in peers if PEERS[name].install in failed}
    return [name for name in peers if name not in missing], missing


def hide_avx512() -> None:
    """From all that is started from now on. Needs a C compiler, and Linux on x86-64."""
    library = ROOT / "target/release/without_avx512.so"
    library.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, BENCH / "without_avx512.c"], check=True)
    os.environ["LD_PRELOAD"] = str(library)


def last_line(text: str) -> str:
    """Of an error's text the line that says what went wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if line.lower().startswith("error")), lines[-1] if lines else "no message")


def cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def pin(threads: int) -> None:
    """No library's idea of a thread count matters on a machine that seems to have no more cores."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores()[:threads])


class Running:
    """A peer at work on one workload; it warms up while this returns."""

    def __init__(self, command: list, threads: int, environment: dict = {}, **fields: object) -> None:
        number = str(threads)
        variables = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "CANDLE_NUM_THREADS")
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [str(part).format(t=threads, **fields) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=os.environ | dict.fromkeys(variables, number) | environment,
            preexec_fn=lambda: pin(threads),
        )
        ready, parameters, self.description = (*self.line().strip().split(maxsplit=2), "", "")[:3]
        if ready != "ready":
            raise self.failure(f"its first line is not `ready` but {ready!r}")
        self.parameters = int(parameters)

    def ask(self, command: str) -> float:
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return float(self.line())

    def losses(self, steps: int) -> list[float]:
        """Trains on MNIST; the mean losses of the discriminator and of the generator."""
        self.process.stdin.write(f"losses {steps}\n")
        self.process.stdin.flush()
        return [float(loss) for loss in self.line().split()]

    def line(self) -> str:
        """Its answer. It runs only while it is waited for: idle threads of some libraries spin, and would slow the others down."""
        self.send("SIGCONT")
        line = self.process.stdout.readline()
        if not line:
            raise self.failure(f"it ended with status {self.process.wait()}")
        self.send("SIGSTOP")
        return line

    def send(self, name: str) -> None:
        """A signal, where the system has it."""
        if number := getattr(signal, name, None):
            self.process.send_signal(number)

    def failure(self, reason: str) -> RuntimeError:
        self.errors.seek(0)
        lines = self.errors.read().splitlines()
        last = [line for line in lines if line.strip() and not line.startswith("note:")][-1:]
        return RuntimeError(": ".join([reason, *last]))

    def memory(self, which: str = "VmHWM") -> float | None:
        """The largest resident set so far, or with "VmRSS" the present one, in MiB; known on Linux."""
        status = Path(f"/proc/{self.process.pid}/status")
        if not status.exists():
            return None
        line = next(line for line in status.read_text().splitlines() if line.startswith(which))
        return int(line.split()[1]) / 1024

    def stop(self) -> None:
        try:
            self.send("SIGCONT")
            self.process.stdin.close()
            self.process.wait(20)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
