"""Commands in messages: each extra that a message names exists, and brings the modules whose absence it reports."""

import ast
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from cnflow.cli.checks import package_findings
from cnflow.cli.dependencies import Installed, Requirement, requirements_by_extra

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "cnflow").rglob("*.py"))
PAGES = [ROOT / "README.md", *(page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts)]
EXTRAS = {extra for extra in requirements_by_extra(metadata.requires("cnflow")) if extra}
DEVELOPMENT = {"all", "dev", "docs", "test"}


def _is_of_class(assignment):
    """True for a value of the class itself; a field of a dataclass may have one of the names, too."""
    return assignment.value and ast.unparse(assignment.annotation).startswith("ClassVar")


def extras_and_modules(tree):
    """Pairs of an extra and a module of it, as a part of the source names them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            values = {
                each.target.id: ast.literal_eval(each.value)
                for each in node.body
                if isinstance(each, ast.AnnAssign) and each.target.id in {"extra", "packages"} and _is_of_class(each)
            }
            yield from ((values.get("extra", ""), module) for module in values.get("packages", ()))
            if values.get("extra") and not values.get("packages"):
                yield values["extra"], ""
        if isinstance(node, ast.Try):
            extras = [raised_extra(each) for handler in node.handlers for each in ast.walk(handler)]
            modules = [name.name for each in node.body if isinstance(each, ast.Import) for name in each.names]
            yield from ((extra, module) for extra in extras if extra for module in modules)


def raised_extra(node):
    """Extra of ``MissingExtraError(what, "extra")``; empty for another node."""
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "MissingExtraError":
        last = node.args[-1]
        return last.value if isinstance(last, ast.Constant) else ""
    return ""


NAMED = sorted({pair for source in SOURCES for pair in extras_and_modules(ast.parse(source.read_text()))})


def test_sources_name_the_extras_that_are_known_to_have_messages():
    assert {extra for extra, _ in NAMED} >= {"docker", "yaml"}


@pytest.mark.parametrize(("extra", "module"), NAMED)
def test_extra_of_a_message_brings_the_module_that_is_missing(extra, module):
    assert extra in EXTRAS
    assert module, f"settings with the extra {extra!r} name no modules in `packages`"
    required = {
        each.name.lower().replace("_", "-") for each in requirements_by_extra(metadata.requires("cnflow"))[extra]
    }
    top = module.partition(".")[0]  # by the files: Python 3.10's `packages_distributions` misses newer wheels
    brought = {
        each.metadata["Name"].lower().replace("_", "-")
        for each in metadata.distributions()
        if any(file.parts[0] in {top, f"{top}.py"} for file in each.files or ())
    }
    assert required & brought, f"'cnflow[{extra}]' installs {required}, and {module!r} comes from {brought}"


def test_extras_in_texts_exist():
    texts = [path.read_text(encoding="utf-8") for path in (*SOURCES, *PAGES)]
    named = {names for text in texts for names in re.findall(r"(?:cnflow|\.)\[([a-z,]+)\]'", text)}
    assert "docker" in named
    assert {extra for names in named for extra in names.split(",")} <= EXTRAS | DEVELOPMENT


@pytest.mark.parametrize("extra", sorted({extra for extra, _ in NAMED}))
def test_command_of_a_message_needs_no_package_index_for_cnflow_itself(extra):
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "--quiet", f"cnflow[{extra}]"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_package_that_is_too_old_is_named_in_the_command():
    (_, wrong) = package_findings([Installed(Requirement("msgspec", "0.20", "", ""), "0.19")])
    assert wrong.advice == "Run: pip install 'msgspec>=0.20'"
