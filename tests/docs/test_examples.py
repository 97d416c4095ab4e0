"""Runs every Python and console block of README.md and docs/.

Each block runs in a fresh folder with the files of its page. A comment before a block marks it
(docs/decisions/0001-reference-pages-are-generated.md):

    <!-- file: NAME -->     a file of the page, under that name
    <!-- needs: IMAGE -->   needs that container image
    <!-- prints -->         the output of the Python block before it
    <!-- cell -->           a cell of the page's notebook; see test_notebooks.py
    <!-- cluster -->        runs on a Kubernetes cluster, after the page's earlier ones; see test_cluster_pages.py
    <!-- cloud -->          runs on the stand-in of a cloud, after the page's earlier ones; see test_cloud_pages.py
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(p for p in (ROOT / "docs").rglob("*.md") if "_build" not in p.parts)]
SECONDS_AT_MOST = 90

BLOCK = re.compile(
    r"(?P<notes>(?:^<!-- [^\n]* -->\n)*)^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
NOTE = re.compile(r"<!-- (\w+)(?:: (.*?))? -->")


class Block(NamedTuple):
    """A fenced block of a page, with the comments before it and its line."""

    language: str
    text: str
    notes: dict[str, str]
    line: int


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            found["language"], found["text"], dict(NOTE.findall(found["notes"])), text[: found.start()].count("\n") + 1
        )
        for found in BLOCK.finditer(text)
    ]


def steps_of(page: Path) -> list[tuple[Block, str | None]]:
    """Blocks to run, each with its expected output (None if the page has none)."""
    blocks = blocks_of(page)
    following = [*blocks, None][1:]
    return [
        (block, after.text if after and "prints" in after.notes else None)
        for block, after in zip(blocks, following, strict=True)
        if block.language in {"python", "console"} and not {"cell", "cloud", "cluster"} & block.notes.keys()
    ]


def parameters():
    for page in PAGES:
        for block, printed in steps_of(page):
            marks = [pytest.mark.docker] if "needs" in block.notes else []
            yield pytest.param(page, block, printed, marks=marks, id=f"{page.relative_to(ROOT)}:{block.line}")


@pytest.fixture
def folder(request, tmp_path):
    """A fresh folder with the files of a page."""
    for block in blocks_of(request.param):
        if "file" in block.notes:
            (tmp_path / block.notes["file"]).write_text(block.text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(("folder", "block", "printed"), list(parameters()), indirect=["folder"])
@pytest.mark.timeout(2 * SECONDS_AT_MOST)
def test_block_of_a_page_runs(block, printed, folder):
    if "needs" in block.notes:
        require_image(block.notes["needs"])
    if block.language == "python":
        script = folder / block.notes.get("file", "example.py")
        script.write_text(block.text, encoding="utf-8")
        result = run([sys.executable, script.name], folder)
        assert result.returncode == 0, result.stderr
        assert printed is None or result.stdout == printed
    else:
        for command in commands_in(block):
            check_command(command, folder)


def test_comments_before_blocks_are_known():
    notes = {note for page in PAGES for block in blocks_of(page) for note in block.notes}
    assert notes <= {"cell", "cloud", "cluster", "file", "needs", "prints"}


def test_languages_of_blocks_are_known():
    languages = {block.language for page in PAGES for block in blocks_of(page)}
    assert languages <= {"python", "console", "text", "toml", "py", "sql", "yaml"}  # SQL: test_database_page
    files = [block for page in PAGES for block in blocks_of(page) if block.language in {"py", "yaml"}]
    assert all("file" in block.notes for block in files)  # which a console block of the page uses


def commands_in(block: Block) -> list[list[str]]:
    lines = block.text.splitlines()
    assert all(line.startswith("$ ") for line in lines), "a console block holds commands, each after `$ `"
    return [shlex.split(line.removeprefix("$ ")) for line in lines]


def check_command(command: list[str], folder: Path) -> None:
    """Run a command of cnflow; check that the target or package of another command exists."""
    match command:
        case ["cnflow", *rest]:
            result = run([sys.executable, "-m", "cnflow.cli", *rest], folder)
            assert result.returncode == 0, result.stderr
        case ["pip", "install", "."]:
            assert (ROOT / "pyproject.toml").is_file()
        case ["make", target]:
            assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE), f"no target {target}"
        case _:
            pytest.fail(f"no test for this command: {shlex.join(command)}")


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS_AT_MOST, check=False)


def require_image(image: str) -> None:
    """Skip the test if there is no *image*; fail it if CNFLOW_REQUIRE contains ``docker``."""
    if shutil.which("docker") and run(["docker", "image", "inspect", image], ROOT).returncode == 0:
        return
    message = f"needs a Docker engine with the image {image}: make images"
    if "docker" in os.environ.get("CNFLOW_REQUIRE", "").split(","):
        pytest.fail(message)
    pytest.skip(message)
