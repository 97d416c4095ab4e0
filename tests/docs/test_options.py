"""Options of settings that pages name in a line, as in `EC2Provider(spot=True)`, exist; no example runs them."""

import ast
import re
from pathlib import Path

import pytest

from cnflow import config
from cnflow.config.machines import MachineSettings
from cnflow.config.registry import PROVIDERS

DOCS = Path(__file__).parents[2] / "docs"
OF_PARSL = {"coming-from-parsl.md"}
"""Pages that name Parsl's options."""

CALL = re.compile(r"`((?:Budget|\w+(?:Provider|Executor|Pool))\([^`]*\))`")
PAGES = [*sorted(DOCS.rglob("*.md")), DOCS.parent / "README.md"]
CALLS = [
    pytest.param(" ".join(call.split()), id=f"{page.stem}-{number}")
    for page in PAGES
    if page.name not in OF_PARSL and "_build" not in page.parts
    for number, call in enumerate(CALL.findall(page.read_text(encoding="utf-8")))
]


@pytest.mark.parametrize("call", CALLS)
def test_option_in_a_line_of_a_page_exists(call):
    for node in ast.walk(ast.parse(call)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and hasattr(config, node.func.id):
            options = getattr(config, node.func.id).model_fields
            assert [each.arg for each in node.keywords if each.arg not in options] == []


@pytest.mark.parametrize("kind", sorted(PROVIDERS.built_in))
def test_provider_of_machines_is_in_the_reference(kind):
    settings = PROVIDERS.find(kind)
    if issubclass(settings, MachineSettings):
        page = (DOCS / "reference/configuration.md").read_text(encoding="utf-8")
        assert f"cnflow.config:{settings.__name__}\n" in page
