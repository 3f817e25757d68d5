"""The literals in tests/rust are what the programs in tests/reference print."""

import importlib.util
import re
import subprocess
import sys

import pytest

from rust_kernel import ROOT

NEEDS = {
    "game": ["numpy", "torch"],
    "latent": ["numpy", "scipy"],
    "literals": ["torch"],
    "metrics": ["numpy", "scipy", "sklearn"],
    "optim": ["torch"],
    "penalties": ["torch"],
    "table": ["torch"],
}


@pytest.mark.parametrize("name", [path.stem for path in sorted((ROOT / "tests/reference").glob("*.py"))])
def test_literals_are_what_their_program_prints(name):
    missing = [module for module in NEEDS[name] if importlib.util.find_spec(module) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    command = [sys.executable, ROOT / "tests/reference" / f"{name}.py"]
    printed = constants(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    written = constants((ROOT / "tests/rust" / f"{name}.rs").read_text())
    assert printed
    for constant, expected in printed.items():
        assert written.get(constant) == [close(value) for value in expected], constant


def constants(rust: str) -> dict[str, list]:
    """The numbers and strings of each constant of a Rust source, by its name."""
    found = re.findall(r"^const (\w+): [^=]+= (.*?);$", rust, re.M | re.S)
    return {name: [literal(token) for token in re.findall(LITERAL, value)] for name, value in found}


def close(value: str | float):
    """Libraries of another version may differ in the last digits."""
    return value if isinstance(value, str) else pytest.approx(value, rel=1e-6, abs=1e-12)


LITERAL = r'"[^"]*"|-?\b\d[\d.]*(?:e[+-]?\d+)?'


def literal(token: str) -> str | float:
    return token if token.startswith('"') else float(token)
