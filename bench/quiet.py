"""Whether the machine had anything else to do while a peer was measured. Linux tells; elsewhere nobody asks."""

import os
import time
from pathlib import Path

STAT = Path("/proc/stat")
TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
TOLERATED = 0.04  # of the machine's time


class Disturbance:
    """Waits for a quiet machine, but not forever: `patience` seconds over the whole benchmark."""

    def __init__(self, patience: float, cores: int) -> None:
        self.patience, self.cores = patience, cores
        self.measured = self.disturbed = 0

    def undisturbed(self, pid: int, measure):
        """What `measure`, the work of process `pid`, returns when it had the machine for itself."""
        while True:
            began, before = time.monotonic(), others(pid)
            result = measure()
            took = time.monotonic() - began
            if result is None or before is None:
                return result
            disturbed = others(pid) - before > TOLERATED * took * self.cores + 0.03
            if not disturbed or self.patience <= 0:
                self.measured += 1
                self.disturbed += disturbed
                return result
            time.sleep(3)
            self.patience -= took + 3

    def __str__(self) -> str:
        if self.disturbed == 0:
            return "nothing else ran"
        return f"something else ran during {self.disturbed} of {self.measured} measurements"


def others(pid: int) -> float | None:
    """Seconds of processor time that all processes but one have used so far."""
    if not STAT.exists():
        return None
    user, nice, system, _idle, _wait, interrupts, soft, stolen = map(int, STAT.read_text().split()[1:9])
    own = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (user + nice + system + interrupts + soft + stolen - int(own[11]) - int(own[12])) / TICKS
