"""Looks up every path and dotted name of this repository that README.md, CONTRIBUTING.md and docs/ mention.

Also looks up every page of docs/ that the sources mention.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from cnflow.config import registry

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "images/README.md", "helm/README.md")),
    *sorted(page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts),
]

SOURCES = [
    ROOT / "Makefile",
    ROOT / "pyproject.toml",
    *(
        file
        for folder in ("benchmarks", "cnflow", "examples", "tests")
        for file in sorted((ROOT / folder).rglob("*.py"))
        if not any(part.startswith(".venv") for part in file.relative_to(ROOT).parts)
    ),
]
PAGE = re.compile(r"(?<![\w/.-])docs/[\w/.-]+\.md\b")
PATH = re.compile(r"(?<![\w/.-])(?:benchmarks|cnflow|docs|examples|images|tests)/[\w./-]*\w")
NAME = re.compile(r"(?<![\w/.-])cnflow(?:\.[a-z_]\w*)+(?:\.[A-Z]\w*)?", re.ASCII)

MADE = {"benchmarks/.venv-peers", "docs/_build", "examples/.venv-digits"}
"""Paths that a target of the Makefile makes."""

IMAGES = {"cnflow/NAME", "cnflow/train"}
"""Names of images, which have the form of paths."""

LOG_FIELDS = {"cnflow.done", "cnflow.mine", "cnflow.task_id", "cnflow.task_state"}
FILES_OF_A_RUN = {"cnflow.log", "cnflow.jsonl", "cnflow.lock"}
GROUPS = {seam.group for seam in registry.ALL}
"""Groups of entry points; some have no module of their name."""


def mentions(pattern: re.Pattern[str], besides: set[str]) -> list[object]:
    """Each page with each of its matches of *pattern*, once; those of *besides* are left out."""
    return [
        pytest.param(page, name, id=f"{page.relative_to(ROOT)}-{name}")
        for page in PAGES
        for name in sorted(set(pattern.findall(page.read_text(encoding="utf-8"))) - besides)
    ]


@pytest.mark.parametrize(("page", "path"), mentions(PATH, MADE | IMAGES))
def test_path_on_a_page_exists(page, path):
    assert (ROOT / path).exists() or (page.parent / path).exists()


@pytest.mark.parametrize(("page", "name"), mentions(NAME, LOG_FIELDS | FILES_OF_A_RUN | GROUPS))
def test_dotted_name_on_a_page_exists(page, name):
    module, *attributes = name.split(".")
    value = importlib.import_module(module)
    for attribute in attributes:
        module = f"{module}.{attribute}"
        value = getattr(value, attribute, None) or importlib.import_module(module)
    assert value is not None


def test_pages_that_sources_mention_exist():
    mentioned = {(page, file) for file in SOURCES for page in PAGE.findall(file.read_text(encoding="utf-8"))}
    assert [(page, str(file)) for page, file in sorted(mentioned) if not (ROOT / page).exists()] == []
