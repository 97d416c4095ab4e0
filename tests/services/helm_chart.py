"""Commands of helm on the chart helm/cnflow, for tests."""

import os
import subprocess
from pathlib import Path

import yaml

from tests.services.kubernetes_cluster import HELM

CHART = Path(__file__).parents[2] / "helm" / "cnflow"


class HelmError(Exception):
    """A command of helm failed; the text is what it printed."""


def helm(*arguments, values=None, kubeconfig=None, timeout=120):
    """Run helm with *values* and return what it printed."""
    given = ["--values", "-"] if values is not None else []
    environment = {**os.environ, **({"KUBECONFIG": str(kubeconfig)} if kubeconfig else {})}
    done = subprocess.run(
        [HELM, *arguments, *given],
        input=yaml.safe_dump(values or {}),
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=timeout,
    )
    if done.returncode:
        raise HelmError(done.stderr.strip() or done.stdout.strip())
    return done.stdout


def render(values, release="demo", namespace="team"):
    """Return the objects that the chart makes of *values*, by kind and name."""
    text = helm("template", release, CHART, "--namespace", namespace, values=values)
    objects = [each for each in yaml.safe_load_all(text) if each]
    found = {(each["kind"], each["metadata"]["name"]): each for each in objects}
    assert len(found) == len(objects), "two objects have one name"
    return found
