"""Trains and tests models on handwritten digits, in two images, from a driver without scikit-learn or NumPy.

    load ── split ─┬─ train ─┬─ predict ─┬─ score ─┬─ the table
                   │         ├─ ...      │         │
                   │         └─ predict ─┘         │      5 folds; for each of them 1 model,
                   ├─ ...                          │      6 micro-batches and 1 accuracy
                   └─ train ─── ...        score ──┘

`make demo` builds the images and runs this script. Without a Docker engine the same graph runs in processes. With the
name of a configuration file, which has an executor called "bare", it runs wherever that says: ``digits.py slurm.toml``.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import DockerProvider, LocalProvider

TRAIN, PREDICT = "digits-train:0.1", "digits-predict:0.1"
FOLDS, BATCH, ENOUGH = 5, 64, 0.95


def place_and_time(started: float) -> dict:
    """Return host and worker of the calling task, and the seconds since it *started*."""
    worker, seconds = os.environ["CNFLOW_WORKER_RANK"], time.perf_counter() - started
    return {"host": socket.gethostname(), "worker": worker, "seconds": seconds}


@python_app(image=TRAIN)
def load() -> tuple[list, list]:
    """Load rows of 64 pixels, and for each row the digit that it shows."""
    import digits_train

    return digits_train.load()


@python_app(executors=["bare"])
def split(digits: tuple[list, list], seed: int = 7) -> list[list]:
    """Split the digits, as pairs of a row and its label, into folds with equal numbers of each digit."""
    pairs = list(zip(*digits, strict=True))
    random.Random(seed).shuffle(pairs)  # noqa: S311 - the same shuffle every time
    pairs.sort(key=lambda pair: pair[1])  # stable: still shuffled within each digit
    return [pairs[first::FOLDS] for first in range(FOLDS)]


@python_app(image=TRAIN)
def train(folds: list[list]) -> dict:
    """Fit a model to the folds; it consists of plain lists, so that an image without scikit-learn can use it."""
    import digits_train

    started = time.perf_counter()
    rows, labels = zip(*itertools.chain(*folds), strict=True)
    return {"model": digits_train.train(rows, labels), **place_and_time(started)}


@python_app(image=PREDICT)
def predict(trained: dict, rows: list) -> dict:
    """Predict the digits of one micro-batch."""
    import digits_predict

    started = time.perf_counter()
    return {"labels": digits_predict.predict(trained["model"], rows), **place_and_time(started)}


@python_app(executors=["bare"])
def score(labels: list, *batches: dict) -> float:
    """Return the share of *labels* that the micro-batches predicted correctly."""
    predicted = [label for batch in batches for label in batch["labels"]]
    return sum(a == b for a, b in zip(predicted, labels, strict=True)) / len(labels)


def has_images() -> bool:
    """Return True if a Docker engine has both images."""
    command = ["docker", "image", "inspect", TRAIN, PREDICT]
    return bool(shutil.which("docker")) and subprocess.run(command, capture_output=True, check=False).returncode == 0


def configure(*, containers: bool) -> Config:
    """Return a Config with containers and processes, or with processes alone; the rest of the script is the same."""
    if containers:
        bare = HighThroughputExecutor(label="bare", provider=LocalProvider(), max_workers=2)
        docker = HighThroughputExecutor(label="docker", provider=DockerProvider(), max_workers=2)  # one per image
        return Config(executors=[bare, docker])
    python = Path(__file__).parent / ".venv-digits/bin/python"
    bare = HighThroughputExecutor(label="bare", provider=LocalProvider(python=str(python)), max_workers=2)
    return Config(ignore_images=True, executors=[bare])


def tabulate(graph: list[tuple], *, containers: bool) -> Table:
    """Wait for the graph and return a table with host, worker, seconds and accuracy of both steps of each fold."""
    titles = ("Fold", "Step", "Image", "Container" if containers else "Machine", "Worker")
    table = Table(*titles, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("Seconds", justify="right")
    table.add_column("Accuracy", justify="right")
    for number, (trained, batches, accuracy) in enumerate(graph, 1):
        for step, image, tasks in (("train", TRAIN, [trained]), ("predict", PREDICT, batches)):
            runs = [task.result() for task in tasks]
            hosts, workers = (", ".join(sorted({run[key] for run in runs})) for key in ("host", "worker"))
            seconds = f"{sum(run['seconds'] for run in runs):.3f}"
            share = f"{accuracy.result():.4f}" if step == "predict" else ""
            table.add_row(str(number), step, image if containers else "-", hosts, workers, seconds, share)
    return table


def main() -> None:
    """Build the graph, print its table, and exit with 1 if the mean accuracy is too low."""
    containers = len(sys.argv) > 1 or has_images()
    if not containers:
        print("No Docker engine with the images of `make images`: running in processes of this machine.")
    started = time.perf_counter()
    with cnflow.load(sys.argv[1] if len(sys.argv) > 1 else configure(containers=containers)):
        folds, graph = split(load()).result(), []
        for held_out in folds:
            rows, labels = zip(*held_out, strict=True)
            trained = train([fold for fold in folds if fold is not held_out])
            batches = [predict(trained, rows[first : first + BATCH]) for first in range(0, len(rows), BATCH)]
            graph.append((trained, batches, score(labels, *batches)))
        Console().print(tabulate(graph, containers=containers))

    mean = sum(accuracy.result() for *_, accuracy in graph) / FOLDS
    print(f"Mean accuracy {mean:.4f} ({ENOUGH} is enough), {time.perf_counter() - started:.1f} s in all.")
    if mean < ENOUGH:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
