"""Shared by unit tests: packages that register backends, as if pip had installed them."""

import sys
import textwrap

import pytest


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts a package on the search path: ``install("name", {"cnflow.providers": "kind = name:Class"}, source)``."""

    def make(package, groups, source):
        folder = tmp_path / package
        info = folder / f"{package}-2.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 2.0\n")
        (info / "entry_points.txt").write_text("\n".join(f"[{group}]\n{line}" for group, line in groups.items()))
        (folder / f"{package}.py").write_text(textwrap.dedent(source))
        monkeypatch.syspath_prepend(str(folder))
        made.append(package)

    made = []
    yield make
    for package in made:
        sys.modules.pop(package, None)
