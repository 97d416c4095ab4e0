"""The reference of options shows what each option means."""

import importlib
import re
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
LISTED = re.findall(r"^```\{cnflow-settings\} (\S+)$", (DOCS / "reference/configuration.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("target", LISTED)
def test_each_option_on_the_page_has_a_meaning(target, monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    reference = importlib.import_module("reference")
    monkeypatch.delitem(sys.modules, "reference")
    settings = reference._load(target)
    assert [name for name in settings.model_fields if not reference._meaning(settings, name)] == []
