"""Runs the pages about clouds: their blocks with the comment ``<!-- cloud -->``, in order, on the stand-in of EC2.

All blocks of a page share a folder. The SDK of the script calls the stand-in by its own variables; the script is the
one of the page.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services.ec2_cloud import EC2

spec = importlib.util.spec_from_file_location("pages", Path(__file__).with_name("test_examples.py"))
pages = sys.modules.setdefault("pages", importlib.util.module_from_spec(spec))
spec.loader.exec_module(pages)

PAGES = [page for page in pages.PAGES if any("cloud" in block.notes for block in pages.blocks_of(page))]

pytestmark = [pytest.mark.ec2, pytest.mark.docker, pytest.mark.root, pytest.mark.timeout(400)]


@pytest.fixture
def ec2():
    """The stand-in, with an access key of the test's own."""
    found = EC2()
    yield found
    found.remove()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_blocks_of_a_page_run_in_order(page, ec2, tmp_path):
    blocks = pages.blocks_of(page)
    for block, after in zip(blocks, [*blocks, None][1:], strict=True):
        if "cloud" not in block.notes:
            continue
        if block.language == "python":
            file = tmp_path / block.notes.get("file", "example.py")
            file.write_text(block.text, encoding="utf-8")
            commands = [[sys.executable, str(file)]]
        else:
            commands = [[sys.executable, "-m", "cnflow.cli", *words[1:]] for words in pages.commands_in(block)]
        printed = "".join(run(command, tmp_path, ec2.environment) for command in commands)
        if after and "prints" in after.notes:
            assert printed == after.text, f"{page.name}:{block.line}"
    ec2.until(lambda: not ec2.machines("pending", "running", "shutting-down"), 60)


def run(command, folder, environment):
    variables = {**os.environ, **environment}
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout
