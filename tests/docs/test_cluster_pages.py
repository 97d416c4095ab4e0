"""Runs the pages about Kubernetes: their blocks with the comment ``<!-- cluster -->``, in order, on a real cluster.

All blocks of a page share a folder, a namespace and a kubeconfig whose current namespace is that one; pages call it
``science``. Commands are those of the page, with the cluster's own kubectl and helm.
"""

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cnflow import __version__
from tests.services.kubernetes_cluster import HELM

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("pages", Path(__file__).with_name("test_examples.py"))
pages = sys.modules.setdefault("pages", importlib.util.module_from_spec(spec))
spec.loader.exec_module(pages)

PAGES = [page for page in pages.PAGES if any("cluster" in block.notes for block in pages.blocks_of(page))]
NAMESPACE = "science"
IMAGES = (f"cnflow:{__version__}", "digits-train:0.1", "digits-predict:0.1")
RUN = {"python", "console"}

pytestmark = [pytest.mark.kubernetes, pytest.mark.helm, pytest.mark.docker, pytest.mark.timeout(600)]


@pytest.fixture
def environment(cluster, namespace, tmp_path):
    """Variables of the page's commands: a kubeconfig of their own, and the cluster's programs first on the path."""
    for image in IMAGES:
        pages.require_image(image)
        cluster.load_image(image)
    config = yaml.safe_load(Path(cluster.kubeconfig).read_text(encoding="utf-8"))
    for context in config["contexts"]:
        context["context"]["namespace"] = namespace
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(config), encoding="utf-8")
    kubeconfig.chmod(0o600)
    programs = [str(Path(sys.executable).parent), str(HELM.parent), os.environ["PATH"]]
    return {**os.environ, "KUBECONFIG": str(kubeconfig), "PATH": os.pathsep.join(programs)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_blocks_of_a_page_run_in_order(page, environment, namespace, tmp_path):
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "helm").symlink_to(ROOT / "helm")

    def in_namespace(text):
        return re.sub(rf"\b{NAMESPACE}\b", namespace, text)

    blocks = pages.blocks_of(page)
    for block, after in zip(blocks, [*blocks, None][1:], strict=True):
        if "cluster" not in block.notes:
            continue
        if "file" in block.notes:
            (folder / block.notes["file"]).write_text(in_namespace(block.text), encoding="utf-8")
        if block.language not in RUN:
            continue
        printed = "".join(run(command, folder, environment) for command in commands_in(block, in_namespace))
        if after and "prints" in after.notes:
            assert printed == in_namespace(after.text), f"{page.name}:{block.line}"


def commands_in(block, in_namespace):
    if block.language == "python":
        return [[sys.executable, block.notes["file"]] if "file" in block.notes else [sys.executable, "-c", block.text]]
    lines = in_namespace(block.text).replace("\\\n", " ").splitlines()
    assert all(line.startswith("$ ") for line in lines), "a console block holds commands, each after `$ `"
    return [shlex.split(line.removeprefix("$ ")) for line in lines]


def run(command, folder, environment):
    if command[0] == "make":  # was run before: images take minutes
        assert re.search(rf"^{command[1]}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return ""
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout
