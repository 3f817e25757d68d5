"""Our training step against the peers': `make bench`.

For every workload, batch and number of threads all peers run side by side, each in a process of its own, and work in
turn, for several rounds; what is shown are medians. See README.md for what a step is and for what else is measured.
"""

import argparse
import datetime
import platform
import statistics
import subprocess
import sys
from pathlib import Path

from peers import BENCH, OURS, PEERS, Running, cores, hide_avx512, install
from quiet import Disturbance
from workloads import VARIANTS, WORKLOADS, parameters, step_products

RESULTS = BENCH / "RESULTS.md"
SAMPLES = 10_000
STEPS = WORKLOADS | VARIANTS
OF_VARIANTS = ("ours", "torch")  # torch.compile fails on the double backward
PRECISIONS = {"f32": "f32", "bf16": "mixed precision (bfloat16)"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), metavar="PEER", help=", ".join(PEERS))
    parser.add_argument(
        "--workloads", nargs="+", choices=STEPS, default=list(STEPS), metavar="STEP", help=", ".join(STEPS)
    )
    parser.add_argument("--batches", nargs="+", type=int, default=[64, 16, 256, 1024])
    parser.add_argument("--threads", nargs="+", type=int, default=sorted({1, len(cores())}, reverse=True))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="of work for each peer in a round")
    parser.add_argument("--quick", action="store_true", help="batch 64, all cores, 3 rounds of half a second")
    parser.add_argument("--patience", type=float, default=1800.0, help="seconds to wait in all while others compute")
    parser.add_argument("--without-avx512", action="store_true", help="as on a CPU that has neither it nor AMX")
    parser.add_argument("--soak", action="store_true", help="only this: our memory over 10,000 steps of W1")
    parser.add_argument("--profile", action="store_true", help="only this: what our step spends its time on")
    parser.add_argument("--curves", action="store_true", help="only this: losses on MNIST in both precisions")
    parser.add_argument("--output", type=Path, help="Markdown file for the tables; a full run's is bench/RESULTS.md")
    options = parser.parse_args()
    if options.quick:
        options.batches, options.threads, options.rounds, options.seconds = [64], options.threads[:1], 3, 0.5
    elif not options.output and len(sys.argv) == 1:
        options.output = RESULTS
    if options.soak:
        return soak()
    if options.profile:
        return profile(options.workloads)
    peers, absent = install(options.peers)
    if options.without_avx512:
        hide_avx512()
    if options.curves:
        return write_curves(options.output or RESULTS, options.workloads, peers)
    results, versions, quiet = [], {}, Disturbance(options.patience, len(cores()))
    for threads in options.threads:
        for name in options.workloads:
            contenders = peers
            for batch in options.batches:
                results.append(measure(name, batch, threads, contenders, options, versions, quiet, absent))
                if batch == options.batches[0]:
                    contenders = results[-1].contenders(peers)
                print(results[-1].line(), file=sys.stderr, flush=True)
                if options.output:
                    options.output.write_text(report(results, peers, versions, options, quiet, absent))
    print(report(results, peers, versions, options, quiet, absent))
    if options.output == RESULTS:
        write_curves(RESULTS, options.workloads, peers)


class Measured:
    """One workload, batch and number of threads: seconds per step, MiB and samples per second of each peer."""

    def __init__(self, workload: str, batch: int, threads: int) -> None:
        self.workload, self.batch, self.threads = workload, batch, threads
        self.step: dict[str, float] = {}
        self.memory: dict[str, float] = {}
        self.generation: dict[str, float] = {}
        self.gemm = 0.0

    def others(self, *precisions: str) -> list[float]:
        """The peers' seconds."""
        return [seconds for name, seconds in self.step.items() if not ours(name) and of(name) in precisions]

    def contenders(self, peers: list) -> list:
        """Ours, and who takes at most twice the time of the best peer of its precision: at other batches the rest would
        only cost time.
        """
        limits = {precision: 2 * min(self.others(precision), default=0.0) for precision in PRECISIONS}
        return [name for name in peers if ours(name) or self.step.get(name, float("inf")) <= limits[of(name)]]

    def ratio(self, *precisions: str) -> str:
        """The fastest of ours to the best peer, of these precisions."""
        own = [seconds for name, seconds in self.step.items() if ours(name) and of(name) in precisions]
        others = self.others(*precisions)
        return f"{min(own) / min(others):.2f}" if own and others else ""

    def share(self) -> str:
        if "ours" not in self.step or STEPS[self.workload].penalty:
            return ""
        needed = 2 * step_products(STEPS[self.workload], self.batch)
        return f"{needed / self.step['ours'] / self.gemm:.0%}"

    def row(self, which: str, peers: list, factor: float, digits: int) -> list[str]:
        values = getattr(self, which)
        cells = [f"{values[peer] * factor:.{digits}f}" if values.get(peer) else "-" for peer in peers]
        return [f"{self.workload}, {self.batch}", *cells]

    def line(self) -> str:
        steps = ", ".join(f"{name} {seconds * 1e3:.1f}" for name, seconds in self.step.items())
        return f"{self.workload}, batch {self.batch}, {self.threads} threads: {steps} ms"


def of(peer: str) -> str:
    return PEERS[peer].precision


def ours(peer: str) -> bool:
    return peer.startswith("ours")


def measure(
    name: str, batch: int, threads: int, peers: list, options, versions: dict, quiet: Disturbance, absent: dict
) -> Measured:
    result = Measured(name, batch, threads)
    running = start(name, batch, threads, peers, absent)
    gemm = Running([OURS, "gemm"], threads)
    try:
        versions |= {peer: process.description for peer, process in running.items()}
        steps = {}
        for peer in list(running):
            if ask(running, peer, "step 1") and (seconds := ask(running, peer, "step 1")):  # the first one is slow
                steps[peer] = max(1, round(options.seconds / seconds))
        times: dict[str, list] = {peer: [] for peer in running}
        rates = []
        for turn in range(options.rounds):
            rates.append(quiet.undisturbed(gemm.process.pid, lambda: gemm.ask("gemm")))
            for peer in rotated(running, turn):
                if seconds := ask(running, peer, f"step {steps[peer]}", quiet):
                    times[peer].append(seconds / steps[peer])
        result.gemm = statistics.median(rates) * 1e9
        result.step = {peer: statistics.median(times[peer]) for peer in running}
        result.memory = {peer: process.memory() for peer, process in running.items()}
        if batch == 64:
            result.generation = generation(running, options, quiet)
    finally:
        for process in (*running.values(), gemm):
            process.stop()
    return result


def start(name: str, batch: int, threads: int, peers: list, absent: dict) -> dict[str, Running]:
    workload = STEPS[name]
    expected = parameters(workload.generator, workload.inputs()) + parameters(workload.discriminator, (1, 28, 28))
    running = {}
    for peer in peers:
        if batch > PEERS[peer].largest or (name in VARIANTS and peer not in OF_VARIANTS):
            continue
        try:
            running[peer] = Running(PEERS[peer].command, threads, PEERS[peer].environment, w=name, b=batch)
        except RuntimeError as error:
            print(f"{PEERS[peer].title} on {name}, batch {batch}: {error}", file=sys.stderr)
            absent.setdefault(peer, f"on {name}, batch {batch}, {error}")
            continue
        if running[peer].parameters != expected:
            raise SystemExit(f"{peer} trains {running[peer].parameters} parameters on {name}, not {expected}")
    return running


def ask(running: dict[str, Running], peer: str, command: str, quiet: Disturbance | None = None) -> float | None:
    """The seconds that it took. A peer that fails is left out from then on."""
    if peer not in running:
        return None
    try:
        process = running[peer]
        if quiet is None:
            return process.ask(command)
        return quiet.undisturbed(process.process.pid, lambda: process.ask(command))
    except (RuntimeError, OSError) as error:
        print(f"{PEERS[peer].title}, {command}: {error}", file=sys.stderr)
        running.pop(peer).stop()
        return None


def generation(running: dict[str, Running], options: argparse.Namespace, quiet: Disturbance) -> dict[str, float]:
    """Samples per second, each peer at the size of batch that suits it best."""
    best = {}
    for peer in list(running):
        seconds = {}
        for size in (100, 500, 2000):
            ask(running, peer, f"generate {size} {size}")  # some compile for each size
            if taken := ask(running, peer, f"generate {2 * size} {size}"):
                seconds[size] = taken / (2 * size)
        best[peer] = min(seconds, key=seconds.get, default=0)
    times: dict[str, list] = {peer: [] for peer in running}
    for turn in range(min(options.rounds, 3)):
        for peer in rotated(running, turn):
            times[peer].append(ask(running, peer, f"generate {SAMPLES} {best[peer]}", quiet))
    return {peer: SAMPLES / statistics.median(times[peer]) for peer in running}


def soak() -> None:
    install(["ours"])
    process = Running(PEERS["ours"].command, len(cores()), w="W1", b=64)
    for steps in range(1000, 10_001, 1000):
        process.ask("step 1000")
        print(f"{steps:6} steps: {process.memory('VmRSS'):.1f} MiB", flush=True)
    process.stop()


def profile(workloads: list[str]) -> None:
    install(["ours"])
    for name in workloads:
        for precision in ([], ["mixed"], ["bf16"]):
            print(" ".join([name, *precision]), flush=True)
            subprocess.run([OURS, "profile", name, "64", *precision], check=True)


CURVES = "## Losses on MNIST, f32 beside mixed precision\n"
CURVES_TEXT = """Batches of 64, the mean of each 100 of the first 500 steps. A peer begins with the same weights in both precisions
and sees the same digits; two peers begin with different ones.
"""


def write_curves(output: Path, workloads: list[str], peers: list[str]) -> None:
    """At the end of these results, in place of earlier ones."""
    rows = []
    for name in filter(WORKLOADS.get, workloads):
        for peer in peers:
            if of(peer) == "f32" and f"{peer}-bf16" in peers:
                rows.append([f"{name}, {PEERS[peer].title}", *curves(name, [peer, f"{peer}-bf16"])])
                print(*rows[-1], sep="; ", file=sys.stderr, flush=True)
    section = "\n".join([CURVES, CURVES_TEXT, table(["", "D, f32", "D, bf16", "G, f32", "G, bf16"], rows)])
    before = output.read_text().partition(CURVES)[0].rstrip() + "\n\n" if output.exists() else ""
    output.write_text(before + section)


def curves(workload: str, pair: list[str]) -> list[str]:
    """The discriminator's losses of both peers, then the generator's."""
    cells = []
    for peer in pair:
        try:
            process = Running(PEERS[peer].command, len(cores()), PEERS[peer].environment, w=workload, b=64)
            losses = [process.losses(100) for _ in range(5)]
            process.stop()
            cells.append([" ".join(f"{loss:.2f}" for loss in network) for network in zip(*losses)])
        except RuntimeError as error:
            print(f"{PEERS[peer].title} on {workload}, losses: {error}", file=sys.stderr)
            cells.append(["-", "-"])
    return [of_peer[network] for network in range(2) for of_peer in cells]


def rotated(running: dict, turn: int) -> list:
    """Nobody always follows the same one."""
    names = list(running)
    turn %= max(len(names), 1)
    return names[turn:] + names[:turn]


def report(results: list[Measured], peers: list, versions: dict, options, quiet: Disturbance, absent: dict) -> str:
    parts = [
        "# A training step against the peers'\n",
        f"{datetime.date.today()}, {machine(options.without_avx512)}. {'; '.join(dict.fromkeys(versions.values()))}. "
        f"Medians of {options.rounds} rounds; {quiet}. README.md says what is measured.\n",
    ]
    for threads in options.threads:
        of_threads = [result for result in results if result.threads == threads]
        of_threads.sort(key=lambda result: (result.workload, result.batch))
        for precision, name in PRECISIONS.items() if of_threads else ():
            missing = {peer: reason for peer, reason in absent.items() if of(peer) == precision}
            present = [peer for peer in peers if of(peer) == precision]
            where = f"{name}, {threads} thread{'s' * (threads > 1)}"
            parts += tables(of_threads, present, missing, precision, where)
    return "\n".join(parts)


def tables(results: list[Measured], peers: list, absent: dict, precision: str, where: str) -> list[str]:
    """Of one number of threads and one precision."""
    results = [result for result in results if result.step.keys() & set(peers)]
    if not results:
        return []
    titles = [PEERS[peer].title for peer in peers]
    gemm = statistics.median(result.gemm for result in results) / 1e9
    parts = [f"## Milliseconds per step, {where} (gemm in f32: {gemm:.0f} GFLOPS)\n"]
    last = {"f32": "of the gemm rate", "bf16": "our best / best of all"}[precision]
    rows = [
        [*r.row("step", peers, 1e3, 1), r.ratio(precision), r.share() if precision == "f32" else r.ratio(*PRECISIONS)]
        for r in results
    ]
    parts.append(table(["workload, batch", *titles, "ours / best peer", last], rows))
    if absent:
        reasons = "; ".join(f"{PEERS[peer].title} ({reason})" for peer, reason in absent.items())
        parts.append(f"Missing: {reasons}.\n")
    for title, values in (("Peak memory of the training process, MiB", "memory"), (GENERATED, "generation")):
        rows = [r.row(values, peers, 1, 0) for r in results if getattr(r, values)]
        if rows:
            parts += [f"## {title}, {where}\n", table(["workload, batch", *titles], rows)]
    return parts


GENERATED = f"Samples per second, {SAMPLES:,} drawn"


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def machine(hidden: bool) -> str:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":")[1].strip() if names else model
        if "avx512f" in cpuinfo.read_text():
            model += ", AVX-512 hidden" if hidden else ", AVX-512"
    return f"{len(cores())} cores ({model}), {platform.system()}"


if __name__ == "__main__":
    main()
