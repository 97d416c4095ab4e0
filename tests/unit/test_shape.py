"""Promises about the shape of the code, kept by looking at it."""

import ast
import functools
import importlib
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import cnflow
from cnflow.capsule import CAPSULE_PARTS
from cnflow.config import Settings
from cnflow.config.registry import ALL, LAUNCHERS, LOGS, RUNTIMES, backend_of

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "cnflow"
MODULES = sorted(PACKAGE.rglob("*.py"))
LINES_OF_A_MODULE = 400
LINES_OF_A_FUNCTION = 50

PICKLER = "cnflow.wire.serialization"
"""The only module that may import cloudpickle; it is there wherever a worker is."""


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def for_each_module(modules=MODULES):
    """Makes one test of a check of one module: thousands of tests would cost more than what they look at."""

    def decorate(check):
        def test():
            failed = {}
            for path in modules:
                try:
                    check(path)
                except (AssertionError, SyntaxError) as error:
                    failed[name_of(path)] = str(error)
            assert failed == {}

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return test

    return decorate


def test_importing_cnflow_imports_nothing_but_the_standard_library():
    code = "import sys; before = set(sys.modules); import cnflow; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    imported = {name.partition(".")[0] for name in done.stdout.split()}
    assert imported - sys.stdlib_module_names == {"cnflow"}


def test_every_public_name_can_be_imported():
    assert {name for name in cnflow.__all__ if getattr(cnflow, name, None) is None} == set()


def test_unknown_public_name_is_refused_with_the_known_ones():
    with pytest.raises(AttributeError, match=r"no attribute 'laod'. Known: .*\bload\b"):
        cnflow.laod  # noqa: B018 - asking for it is the test


@for_each_module()
def test_module_is_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES_OF_A_MODULE


@for_each_module()
def test_function_is_short(path):
    functions = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}
    assert {name: length for name, length in lengths.items() if length > LINES_OF_A_FUNCTION} == {}


@for_each_module()
def test_module_has_a_docstring(path):
    assert ast.get_docstring(tree_of(path))


@for_each_module([path for path in MODULES if "\n__all__ = " in path.read_text(encoding="utf-8")])
def test_all_is_sorted_and_its_names_exist(path):
    module = importlib.import_module(name_of(path))
    assert sorted(module.__all__, key=_as_ruff_sorts) == list(module.__all__)
    assert {name for name in module.__all__ if not hasattr(module, name)} == set()


@for_each_module([path for path in MODULES if path.name == "__init__.py" and path.parent != PACKAGE])
def test_package_that_imports_names_from_below_lists_them(path):
    imported = {
        alias.asname or alias.name
        for node in tree_of(path).body
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(f"{name_of(path)}.")
        for alias in node.names
    }
    assert imported <= set(getattr(importlib.import_module(name_of(path)), "__all__", ()))


def _as_ruff_sorts(name):
    """CONSTANTS, then Classes, then the rest (ruff's RUF022)."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


KINDS = [(registry, kind) for registry in ALL for kind in registry.built_in]


@pytest.mark.parametrize(("registry", "kind"), KINDS, ids=[f"{registry.noun}-{kind}" for registry, kind in KINDS])
def test_built_in_backend_has_its_kind_a_live_half_and_an_extra_of_the_package(registry, kind):
    settings = registry.find(kind)
    assert registry.kind_of(settings) == kind
    if issubclass(settings, Settings):
        extras = set(metadata.metadata("cnflow").get_all("Provides-Extra") or [])
        assert settings.model_fields["kind"].default == kind
        assert settings.extra in {"", *extras}
        assert registry in {LOGS, LAUNCHERS, RUNTIMES} or callable(backend_of(settings.model_construct()))


def test_extra_all_holds_every_extra_but_those_for_builders():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    table = text.split("[project.optional-dependencies]\n")[1].split("\n[")[0]
    extras = set(re.findall(r"^([a-z0-9]+) = ", table, re.MULTILINE))
    held = re.search(r'^all = \["cnflow\[(.*)\]"\]$', table, re.MULTILINE)
    assert held
    assert set(held[1].split(",")) == extras - {"all", "dev", "docs", "test"}


def travelling():
    roots = [PACKAGE / part for part in CAPSULE_PARTS]
    return [path for path in MODULES if any(root == path or root in path.parents for root in roots)]


@for_each_module(travelling())
def test_code_for_nodes_is_written_for_python_3_9_and_that_of_workers_for_3_8(path):
    oldest = (3, 8) if name_of(path) in reached_from("cnflow.worker") else (3, 9)
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path), feature_version=oldest)
    assert not any(isinstance(node, ast.Match) for node in ast.walk(tree))


def imports_of(path):
    """Absolute names of all that *path* imports when it runs, in functions too, and not for type checkers alone."""
    found = set()
    todo = list(tree_of(path).body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            todo.extend(node.orelse)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports are not used"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        else:
            todo.extend(ast.iter_child_nodes(node))
    return found


@functools.cache
def reached_from(package):
    """Modules of cnflow that importing *package* may import, each with the names that it imports."""
    known = {name_of(path): path for path in MODULES}
    todo = {name for name in known if name == package or name.startswith(f"{package}.")}
    reached = {}
    while todo:
        module = todo.pop()
        reached[module] = imports_of(known[module])
        for name in reached[module]:
            parts = name.split(".")
            todo |= {".".join(parts[:n]) for n in range(1, len(parts) + 1)} & known.keys() - reached.keys()
    return reached


def test_worker_needs_the_standard_library_and_cloudpickle_alone():
    foreign = {
        (module, name.partition(".")[0])
        for module, names in reached_from("cnflow.worker").items()
        for name in names
        if name.partition(".")[0] not in {*sys.stdlib_module_names, "cnflow"}
    }
    assert foreign <= {(PICKLER, "cloudpickle")}


def test_each_foreign_package_has_one_importer():
    homes = {
        "cloudpickle": PICKLER,
        "docker": "cnflow.providers.docker.client",
        "kubernetes": "cnflow.kubernetes_api",
        "pytest": "cnflow.testing.contracts",
        "requests": "cnflow.providers.docker.client",
        "typer": "cnflow.cli",
        "urllib3": ("cnflow.kubernetes_api", "cnflow.providers.docker.client"),
        "zmq": "cnflow.wire",
    }
    for path in MODULES:
        for name in imports_of(path):
            home = homes.get(name.partition(".")[0])
            assert home is None or name_of(path).startswith(home), f"{name_of(path)} imports {name}"
