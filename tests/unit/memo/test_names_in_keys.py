"""Public names of cnflow 0.1 are in keys by the modules that they had then, wherever their code is now."""

import importlib
from pathlib import Path

import pytest

from cnflow.dataflow.memo.code import name_in_keys

NAMES = Path(__file__).parents[2] / "data" / "checkpoint-0.1" / "names.txt"
"""Lines of ``module:name module.qualname``: the public name, and the class or function behind it in 0.1."""


@pytest.mark.parametrize("line", NAMES.read_text(encoding="utf-8").splitlines())
def test_public_name_keeps_its_name_in_keys(line):
    public, name_of_0_1 = line.split()
    module, name = public.split(":")
    found = getattr(importlib.import_module(module), name)
    assert ".".join(name_in_keys(found)) == name_of_0_1
