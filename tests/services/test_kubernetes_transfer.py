"""Files of tasks in pods: they travel over the API server's connection to the interchange; nothing else is there."""

import os

import pytest

import cnflow
from cnflow import Config, File, bash_app
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import KubernetesProvider

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(240)]


def _sort(inputs=(), outputs=(), stdout=None):
    import shlex

    source, target = (shlex.quote(str(file)) for file in (inputs[0], outputs[0]))
    return f"sort {source} > {target}; wc -c < {target}"


def test_input_output_and_stdout_travel_to_a_pod_and_back(cluster, namespace, pod_image, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = sorted(os.urandom(16).hex() for _ in range(60_000))
    (tmp_path / "in put.txt").write_text("\n".join(reversed(lines)) + "\n")
    provider = KubernetesProvider(kubeconfig=cluster.kubeconfig, namespace=namespace, pull="never", init_cpu=0.2)
    executor = HighThroughputExecutor(label="pods", provider=provider, image=pod_image, max_workers=1)
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runs"))):
        future = bash_app(_sort)(inputs=[File("in put.txt")], outputs=[File("made/out.txt")], stdout="said.txt")
        assert future.result(200) == 0
    assert (tmp_path / "made/out.txt").read_text().split() == lines
    assert (tmp_path / "said.txt").read_text().strip() == str(33 * len(lines))
