"""The sweep under a real Slurm: its daemons, in a folder of their own, make this machine a cluster of one node."""

import getpass
import json
import os
import shutil
import socket
import subprocess
import time

import psutil
import pytest
from rust_kernel import ROOT

DAEMONS = ("munged", "slurmctld", "slurmd")
os.environ["PATH"] += ":/usr/sbin"  # where Debian puts them
ABSENT = [daemon for daemon in DAEMONS if shutil.which(daemon) is None]
pytestmark = pytest.mark.skipif(bool(ABSENT), reason=f"no {', '.join(ABSENT)}: apt-get install munge slurmctld slurmd")

SWEEP = ROOT / "sweep" / "slurm.sh"
PATIENCE = 600  # seconds; on a quiet machine both tests take two minutes together
DENSE = ["--builtin", "100", "--set", "log_every=1", "--set", "checkpoint_every=1000000"]

# Two partitions, of which one preempts the other. A job that was requeued waits until its credential has expired, by default for
# two minutes.
CONFIGURATION = """
ClusterName=here
SlurmctldHost={host}
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
RequeueExit=75
NodeName={host} CPUs=2 RealMemory=2048
PartitionName=spare Nodes=ALL Default=YES PriorityTier=1
PartitionName=urgent Nodes=ALL PriorityTier=2
"""


class Cluster:
    def __init__(self, folder):
        self.folder, self.configuration = folder, folder / "slurm.conf"
        self.daemons = []

    def __enter__(self):
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        host = socket.gethostname().split(".")[0]
        written = CONFIGURATION.format(host=host, user=getpass.getuser(), ports=free_ports(), folder=self.folder)
        self.configuration.write_text(written)
        munge = ["munged", "--foreground", "--force"]
        for name in ("socket", "key", "log", "pid", "seed"):
            option = {"socket": "--socket"}.get(name, f"--{name}-file")
            munge.append(f"{option}={self.folder / f'munge.{name}'}")
        for command in (munge, ["slurmctld", "-D", "-f", self.configuration], ["slurmd", "-D", "-f", self.configuration]):
            with open(self.folder / f"{command[0]}.log", "w") as log:
                self.daemons.append(subprocess.Popen(command, stdout=log, stderr=log, env=self.environment()))
            time.sleep(1)
        until(lambda: "idle" in self.call("sinfo", "--noheader", check=False), self)
        return self

    def __exit__(self, *_):
        self.call("scancel", f"--user={getpass.getuser()}", check=False)
        until(lambda: not self.call("squeue", "--noheader", check=False), self)
        for daemon in reversed(self.daemons):
            daemon.terminate()
            daemon.wait(timeout=60)

    def environment(self) -> dict:
        return os.environ | {"SLURM_CONF": str(self.configuration), "DIGIT_GAN": str(digit_gan())}

    def call(self, *command, check: bool = True, **variables) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment() | variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout.strip()

    def sbatch(self, *arguments, **variables) -> str:
        return self.call("sbatch", "--parsable", *arguments, **variables)

    def is_done(self, job: str) -> bool:
        return not self.call("squeue", "--noheader", f"--jobs={job}", check=False)

    def stats(self, run: str) -> list[dict]:
        path = self.folder / "runs" / run / "stats.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")] if path.exists() else []

    def training(self, run: str) -> psutil.Process:
        processes = (process for process in psutil.process_iter(["name", "cmdline"]) if process.info["name"] == "digit-gan")
        return next(process for process in processes if f"runs/{run}" in process.info["cmdline"])

    def printed(self, job: str, task: int) -> str:
        return (self.folder / f"slurm-{job}_{task}.out").read_text()

    def state(self) -> str:
        logs = [(self.folder / f"{daemon}.log").read_text()[-3000:] for daemon in DAEMONS]
        return "\n".join([self.call("squeue", check=False), *logs])


def digit_gan():
    return ROOT / "target" / "debug" / "digit-gan"


def free_ports() -> list[int]:
    sockets = [socket.socket() for _ in range(2)]
    for one in sockets:
        one.bind(("", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def until(holds, cluster: Cluster) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, cluster.state()
        time.sleep(0.05)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    build = ["cargo", "test", "--quiet", "-p", "digit-gan", "--features", "cli", "--test", "rust", "--no-run"]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with Cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


def test_a_sweep_is_preempted_and_still_finishes(cluster):
    runs = ["dense-1", "dense-2", "dense-conditional-1", "dense-conditional-2"]
    which = {"RECIPES": "dense dense-conditional", "SEEDS": "1 2"}
    sweep = cluster.sbatch("--array=0-3", "--cpus-per-task=1", SWEEP, "--images", "9600", *DENSE, **which)
    table = cluster.sbatch(f"--dependency=afterok:{sweep}", "--output=table.txt", "--wrap", "$DIGIT_GAN runs")
    # They must not finish before the scheduler looks. Whatever it ends, it continues first.
    for run in runs[:2]:
        until(lambda: cluster.stats(run), cluster)
        cluster.training(run).suspend()
    urgent = cluster.sbatch("--partition=urgent", "--cpus-per-task=2", "--wrap", "true")
    until(lambda: cluster.is_done(urgent), cluster)
    until(lambda: cluster.is_done(table), cluster)

    for task, run in enumerate(runs):
        steps = [line["step"] for line in cluster.stats(run)]
        assert steps == list(range(1, 151)), run
        assert "finished: 9600 images" in cluster.printed(sweep, task)
    for task in range(2):
        said = cluster.printed(sweep, task)
        assert said.index("PREEMPTION") < said.index("the same command resumes from") < said.index("resumed at step"), said
    rows = [line.split() for line in (cluster.folder / "table.txt").read_text().splitlines()]
    assert [row[:2] for row in rows[1:]] == [[run, "9600"] for run in runs]


def test_a_run_that_is_out_of_time_is_queued_again(cluster):
    """Slurm looks at limits every 30 s."""
    job = cluster.sbatch("--time=1", "--array=0", "--cpus-per-task=1", SWEEP, "--images", "100000000", *DENSE, RECIPES="dense", SEEDS="7")
    until(lambda: "resumed at step" in cluster.printed(job, 0) if cluster.stats("dense-7") else False, cluster)
    assert "Restarts=1" in cluster.call("scontrol", "show", "job", f"{job}_0")
    said = cluster.printed(job, 0)
    resumed = int(said.split("resumed at step ")[1].split()[0])
    assert f"stopped after {64 * resumed} images" in said
    until(lambda: cluster.stats("dense-7")[-1]["step"] > resumed, cluster)

    # Whoever cancels it wants no more of it.
    cluster.call("scancel", job)
    until(lambda: cluster.is_done(job), cluster)
    time.sleep(8)
    assert cluster.is_done(job)
