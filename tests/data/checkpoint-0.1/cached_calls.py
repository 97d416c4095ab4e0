"""Cached calls of many kinds, and the script that made the checkpoints beside this file with cnflow 0.1.

It is run with the version whose checkpoints are wanted, never with a later one: ``python cached_calls.py``. It writes
``cpython-3XX/tasks.sqlite`` for the Python that runs it, since keys hold for one minor version.

`tests/end_to_end/test_checkpoint_of_0_1.py` makes the same calls with the present code, and no app may run. So the
code of the apps here must not change: it is part of the keys.
"""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import functools
import math
import shutil
import sys
import tempfile
from pathlib import Path

import cnflow
from cnflow import AppFuture, Config, File, Resources, bash_app, join_app, python_app
from cnflow.errors import AppTimeout
from cnflow.utils import execute_wait

RAN = []
"""Names of the apps that ran. A list is no part of a key."""

FACTOR = 3
OUTPUT = File("/tmp/cnflow-checkpoint-0.1/output.txt")
ABSENT = File("/nonexistent/cnflow-checkpoint-0.1/input.txt")

Point = collections.namedtuple("Point", "x y")  # noqa: PYI024 - an older style that users have too


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Measure:
    value: float
    unit: str = "m"

    def double(self):
        return Measure(2 * self.value, self.unit)


def helper(value):
    return FACTOR * value


@python_app(cache=True)
def returned(value):
    RAN.append("returned")
    return value


@python_app(cache=True)
def defaults(a, b=2, *rest, c=(3, 4), **more):
    RAN.append("defaults")
    return [a, b, rest, c, more]


@python_app(cache=True)
def with_globals(value):
    RAN.append("with_globals")
    if isinstance(value, (File, AppFuture, AppTimeout)):
        return str(value)
    return helper(value) + math.floor(2.5) + execute_wait("exit 4")[0]


@python_app(cache=True)
def built():
    RAN.append("built")
    return {
        "point": Point(1, 2),
        "colour": Colour.RED,
        "measure": Measure(1.5).double(),
        "resources": Resources.of({"cores": 2, "memory": "1GB"}),
        "file": File("https://example.com/data/a.csv"),
        "path": Path("a/b"),
        "when": dt.datetime(2026, 5, 17, 12, tzinfo=dt.timezone.utc),
        "decimal": decimal.Decimal("1.10"),
        "error": AppTimeout("f", 2.0),
        "function": functools.partial(pow, 2),
        "bytes": bytes(range(256)) * 8,
    }


@python_app(cache=True)
def resources_taken(resources):
    RAN.append("resources_taken")
    return resources


@python_app(cache=True, ignore_for_cache=["verbose"])
def ignoring(value, verbose=0):
    RAN.append("ignoring")
    return value


@python_app(cache=True)
def read(file):
    RAN.append("read")
    return Path(file).read_text(encoding="utf-8")


@python_app(cache=True)
def read_inputs(inputs=()):
    RAN.append("read_inputs")
    return [Path(file).read_text(encoding="utf-8") for file in inputs]


@python_app(cache=True)
def exists(file):
    RAN.append("exists")
    return Path(file).exists()


@python_app(cache=True)
def write(text, outputs=()):
    RAN.append("write")
    Path(outputs[0]).parent.mkdir(parents=True, exist_ok=True)
    return Path(outputs[0]).write_text(text, encoding="utf-8")


@python_app
def write_uncached(text, outputs=()):
    return Path(outputs[0]).write_text(text, encoding="utf-8")


@bash_app(cache=True)
def shell(status):
    RAN.append("shell")
    return f"exit {status}"


@join_app(cache=True)
def joined(count):
    RAN.append("joined")
    return [returned(number) for number in range(count)]


VALUES = [None, True, 7, -1.5, 2j, "text", b"\x00", [1, (2, {"a": {3}})], Point(1, 2), Colour.RED, Measure(2.0)]


def submit_all(folder):
    """Submit every call and return its future by name; files that are read are made in *folder*."""
    data = folder / "data.txt"
    data.write_text("content", encoding="utf-8")
    made = write_uncached("made", outputs=[File(folder / "made.txt")])
    return {
        **{f"returned {type(value).__name__}": returned(value) for value in VALUES},
        "returned future": returned(returned(100)),
        "returned part": returned(returned({"part": [5, 6]})["part"][1]),
        "defaults": defaults(1),
        "defaults of all kinds": defaults(1, 5, 6, c=Colour.RED, d=Measure),
        "with_globals": with_globals(5),
        "built": built(),
        "resources": resources_taken(Resources(cores=2, gpus=1)),
        "ignoring": ignoring(8, verbose=1),
        "a file by content": read(File(data)),
        "a data future": read(made.outputs[0]),
        "inputs": read_inputs(inputs=[File(data), made.outputs[0]]),
        "a file that is absent": exists(ABSENT),
        "outputs": write("out", outputs=[OUTPUT]),
        "shell": shell(0),
        "joined": joined(3),
    }


def texts_of(futures):
    """Results as text: classes of a script travel by value, so that those of another process are not its own."""
    return {name: repr(future.result(60)) for name, future in futures.items()}


def main():
    """Run every call and keep the checkpoint for the Python that runs this."""
    home = Path(__file__).parent / sys.implementation.cache_tag
    with tempfile.TemporaryDirectory() as folder:
        config = Config(run_dir=f"{folder}/runinfo", checkpoint_mode="manual", cache_files_by="content")
        with cnflow.load(config) as dfk:
            texts_of(submit_all(Path(folder)))
            made = dfk.checkpoint()
        home.mkdir(exist_ok=True)
        shutil.copy(Path(made) / "tasks.sqlite", home)
    shutil.rmtree("/tmp/cnflow-checkpoint-0.1")
    print(f"cnflow {cnflow.__version__}: {len(RAN)} results in {home}")


if __name__ == "__main__":
    import cached_calls  # under this name, which is part of the keys, and not under __main__

    cached_calls.main()
