"""``make bench-kubernetes``: how much cnflow adds to pods, and how fast tasks pass through the API server.

Needs the cluster of ``tests/services/kubernetes/up``. Rounds alternate with what each figure is compared with, so that
a disturbance of the machine affects both; the best of each counts.

::

    first    seconds from a call until its result, where no block is there yet │ a bare pod that runs `true` is done
    fifty    50 blocks have connected                                          │ 50 bare pods run
    through  no-ops/s, the interchange in a pod, by pods/exec                  │ the same in processes of this machine
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import cnflow
from benchmarks import functions
from benchmarks.table import align
from cnflow import Config
from cnflow.config import KubernetesProvider
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import LocalProvider
from tests.services.kubernetes_cluster import shared_cluster

if TYPE_CHECKING:
    from collections.abc import Callable

PODS = 50


class Bench(NamedTuple):
    """Cluster, namespace and image of the measurements, and how much is measured."""

    cluster: Any
    """A `tests.services.kubernetes_cluster.Cluster`."""

    namespace: str
    image: str
    folder: str
    options: argparse.Namespace

    def provider(self, blocks: int, initial: int) -> KubernetesProvider:
        """Settings of small pods."""
        return KubernetesProvider(
            kubeconfig=self.cluster.kubeconfig,
            namespace=self.namespace,
            image=self.image,
            init_cpu=0.01,
            init_mem="16Mi",
            init_blocks=initial,
            max_blocks=blocks,
        )

    def load(self, executor: HighThroughputExecutor) -> Any:  # noqa: ANN401 - a context manager
        """Load a run with *executor*."""
        return cnflow.load(Config(executors=[executor], run_dir=f"{self.folder}/runinfo"))

    def in_pods(self, blocks: int = 1, initial: int = 0, **options: Any) -> HighThroughputExecutor:  # noqa: ANN401 - settings
        """Executor of one worker per pod; its interchange is on this machine unless *options* say otherwise."""
        place = {"interchange": "driver", "address": self.cluster.host, **options}
        return HighThroughputExecutor(provider=self.provider(blocks, initial), max_workers=1, **place)

    def job(self, name: str, pods: int, *command: str) -> dict[str, Any]:
        """A Job of *pods* bare pods of the image."""
        asked = {"requests": {"cpu": "10m", "memory": "16Mi"}}
        container = {"name": "bare", "image": self.image, "command": list(command), "resources": asked}
        template = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container]}
        spec = {"parallelism": pods, "completions": pods, "backoffLimit": 0, "template": {"spec": template}}
        metadata = {"name": name, "namespace": self.namespace}
        return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}

    def wait_for_job(self, name: str, field: str, pods: int) -> None:
        """Wait until *field* of the Job's status counts *pods*."""
        path = f"/apis/batch/v1/namespaces/{self.namespace}/jobs/{name}"
        while json.loads(self.cluster.kubectl("get", "--raw", path))["status"].get(field, 0) < pods:
            time.sleep(0.02)

    def bare_pod(self, *command: str) -> float:
        """Seconds from the creation of a bare pod until it has succeeded; a Job counts it seconds later."""
        name = f"bare-{time.monotonic_ns()}"
        spec = self.job(name, 1, *command)["spec"]["template"]["spec"]
        metadata = {"name": name, "namespace": self.namespace}
        path = f"/api/v1/namespaces/{self.namespace}/pods/{name}"
        began = time.perf_counter()
        self.cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        while json.loads(self.cluster.kubectl("get", "--raw", path))["status"].get("phase") != "Succeeded":
            time.sleep(0.02)
        took = time.perf_counter() - began
        self.cluster.kubectl("delete", "pod", name, "--namespace", self.namespace, "--wait=false")
        return took

    def bare(self, pods: int, field: str, *command: str) -> float:
        """Seconds until *pods* bare pods are as far as *field* of their Job says."""
        name = f"bare-{time.monotonic_ns()}"
        began = time.perf_counter()
        self.cluster.apply(self.job(name, pods, *command))
        self.wait_for_job(name, field, pods)
        took = time.perf_counter() - began
        self.cluster.kubectl("delete", "job", name, "--namespace", self.namespace, "--wait=true")
        return took


def first(bench: Bench) -> list[list[str]]:
    """Measure the first result of a run without a block, and a bare pod that runs ``true``."""
    bare, ours = [], []
    app = cnflow.python_app(functions.noop)
    for _ in range(bench.options.repeat + 1):  # the first brings the code to the namespace
        bare.append(bench.bare_pod("true"))
        with bench.load(bench.in_pods()):
            began = time.perf_counter()
            app().result(300)
            ours.append(time.perf_counter() - began)
    more = min(ours[1:]) - min(bare)
    return [
        ["first result, s", f"{min(ours[1:]):.2f}", f"{min(bare):.2f}", f"{more:.2f} more", "< 1"],
        ["the same, first of a namespace", f"{ours[0]:.2f}", "", "", ""],
    ]


def fifty(bench: Bench) -> list[list[str]]:
    """Measure until 50 blocks have connected, and until 50 bare pods run."""
    bare, ours = [], []
    for _ in range(bench.options.repeat):
        bare.append(bench.bare(PODS, "ready", "sleep", "1000"))
        executor = bench.in_pods(PODS, PODS)
        began = time.perf_counter()
        with bench.load(executor) as dfk:
            live = dfk.executors[executor.label]
            while len(live.connected_managers()) < PODS:
                time.sleep(0.02)
            ours.append(time.perf_counter() - began)
    return [[f"{PODS} pods, s", f"{min(ours):.1f}", f"{min(bare):.1f}", f"{min(ours) / min(bare):.2f} x", "1.2 x"]]


def through(bench: Bench) -> list[list[str]]:
    """Measure no-ops/s through the API server, and in processes of this machine."""
    kinds: dict[str, Callable[[], HighThroughputExecutor]] = {
        "exec": lambda: bench.in_pods(1, 1, interchange="site", address=None),
        "beside": lambda: bench.in_pods(1, 1),
        "local": lambda: HighThroughputExecutor(provider=LocalProvider(), max_workers=1),
    }
    best = dict.fromkeys(kinds, 0.0)
    for _ in range(bench.options.repeat):
        for name, make in kinds.items():
            best[name] = max(best[name], _rate(bench, make()))
    share = best["exec"] / best["local"]
    return [
        [
            "no-ops/s, by pods/exec | local",
            f"{best['exec']:,.0f}",
            f"{best['local']:,.0f}",
            f"{share:.2f} x",
            "> 0.5 x",
        ],
        ["no-ops/s, the interchange beside the driver", f"{best['beside']:,.0f}", "", "", ""],
    ]


def _rate(bench: Bench, executor: HighThroughputExecutor) -> float:
    app = cnflow.python_app(functions.noop)
    with bench.load(executor):
        for future in [app() for _ in range(500)]:
            future.result(300)
        began = time.perf_counter()
        for future in [app() for _ in range(bench.options.tasks)]:
            future.result(300)
        count: int = bench.options.tasks
        return count / (time.perf_counter() - began)


FIGURES = {"first": first, "fifty": fifty, "through": through}


def main() -> None:
    """Measure, and print the table."""
    options = _arguments()
    cluster: Any = shared_cluster()  # type: ignore[no-untyped-call]  # of the tests
    image = cluster.load_image(options.image)
    rows = [["", "cnflow", "bare", "", "aim"]]
    with tempfile.TemporaryDirectory(prefix="bench-kubernetes-") as folder:
        for name in options.only or FIGURES:
            print(f"{name} ...", file=sys.stderr)
            with cluster.namespace() as namespace:
                rows += FIGURES[name](Bench(cluster, namespace, image, folder, options))
    print("\n".join(align(rows, 1)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kubernetes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", action="append", choices=FIGURES, help="measure this one alone")
    parser.add_argument("--tasks", type=int, default=20_000, help="no-ops of a round")
    parser.add_argument("--repeat", type=int, default=3, help="rounds, of which the best one counts")
    own = f"cnflow-base:{sys.version_info[0]}.{sys.version_info[1]}"
    image = os.environ.get("CNFLOW_TEST_IMAGE", own)
    parser.add_argument("--image", default=image, help="image with Python, of the Docker engine")
    return parser.parse_args()


if __name__ == "__main__":
    main()
