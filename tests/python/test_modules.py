"""The crate's modules: each knows only those before it, in the order that CONTRIBUTING.md gives."""

import re

import pytest

from rust_kernel import ROOT

SOURCE = ROOT / "crate/src"
ORDER = re.search(r"A module knows only those before it: (.*?)\.\n", (ROOT / "CONTRIBUTING.md").read_text(), re.S)
ORDER = re.findall(r"`(\w+)`", ORDER[1]) if ORDER else []


def known(module: str) -> set[str]:
    """The modules that its code names, tests and comments left out."""
    names = set()
    for path in [SOURCE / f"{module}.rs", *(SOURCE / module).rglob("*.rs")]:
        code = path.read_text().partition("#[cfg(test)]")[0] if path.exists() else ""
        for path_or_list in re.findall(r"\bcrate::(\w+|\{[^;]*\})", re.sub(r"//.*", "", code)):
            names |= set(re.findall(r"\w+", path_or_list))
    return names & set(ORDER)


def test_the_order_has_all_modules():
    found = {path.stem for path in SOURCE.glob("*.rs")} | {path.parent.name for path in SOURCE.glob("*/mod.rs")}
    assert found - {"lib"} == set(ORDER)


@pytest.mark.parametrize("module", ORDER)
def test_a_module_knows_only_those_before_it(module):
    before = ORDER[: ORDER.index(module) + 1]
    assert known(module) <= set(before)
