"""What no compiler checks: unused dependencies, the licences of the others, the public workflow, the citation."""

import shutil
import subprocess

import pytest

from rust_kernel import ROOT

# Advisories are left out: their database needs a network. The public workflow checks them.
CHECKERS = [
    ["cargo-machete", "--skip-target-dir", "."],
    ["cargo-deny", "check", "licenses", "bans", "sources"],
    ["actionlint"],
    ["cffconvert", "--validate"],
]


@pytest.mark.parametrize("command", CHECKERS, ids=lambda command: command[0])
def test_a_checker_finds_nothing(command):
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
