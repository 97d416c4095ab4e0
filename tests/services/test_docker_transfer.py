"""Files of tasks in containers that see no folder of this machine: they travel over the connection of the tasks."""

import os
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, File, bash_app, python_app
from cnflow.config import DockerProvider, HighThroughputExecutor
from cnflow.errors import MissingOutputs

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


@pytest.fixture(scope="module")
def run(home, tmp_path_factory, image_base):
    provider = DockerProvider(mount_folders=False)
    executor = HighThroughputExecutor(provider=provider, image=image_base, max_workers=2)
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path_factory.mktemp("runs")))) as dfk:
        yield dfk


def _lines(*inputs):
    import pathlib

    return [(pathlib.Path(file).name, pathlib.Path(file).read_text()) for file in inputs]


def _sees(path):
    import pathlib

    return pathlib.Path(path).exists()


def _join(inputs=(), outputs=(), stdout=None, stderr=None):
    import shlex

    return f"cat {shlex.join(map(str, inputs))} > {shlex.quote(str(outputs[0]))}; echo done; echo warned >&2"


def _say(inputs=(), outputs=(), stdout=None, stderr=None):
    return "echo begun; exit 3"


def test_inputs_of_one_name_outputs_and_streams_travel_and_no_folder_is_seen(run, home):
    for name in ("a", "b"):
        (home / name).mkdir()
        (home / name / "data 'ü'.txt").write_text(f"{name}\n")
    inputs = [File(f"{name}/data 'ü'.txt") for name in ("a", "b")]
    join = bash_app(_join)
    joined = join(inputs=inputs, outputs=[File("made/joined.txt")], stdout="out.txt", stderr=str(home / "err.txt"))
    read = python_app(_lines)(*inputs, joined.outputs[0])
    assert joined.result(120) == 0
    assert (home / "made/joined.txt").read_text() == "a\nb\n"
    assert joined.outputs[0].result().filepath == str(home / "made/joined.txt")  # as where folders are shared
    assert ((home / "out.txt").read_text(), (home / "err.txt").read_text()) == ("done\n", "warned\n")
    assert read.result(120) == [("data 'ü'.txt", "a\n"), ("data 'ü'.txt", "b\n"), ("joined.txt", "a\nb\n")]
    assert not python_app(_sees)(str(home)).result(120)


def test_missing_output_fails_by_name_and_a_failed_task_leaves_its_streams(run, home):
    failed = bash_app(_say)(stdout="said.txt")
    missing = python_app(lambda outputs=(): None)(outputs=[File("never.txt")])
    assert failed.exception(120) is not None
    assert (home / "said.txt").read_text() == "begun\n"
    with pytest.raises(MissingOutputs, match=r"never\.txt"):
        missing.result(120)
    assert missing.outputs[0].exception(20) is not None


def _make(count):
    return [bytearray(count), "kept"]


def _measure(value):
    return len(value[0]), value[1]


def test_values_by_reference_travel_and_a_kept_result_stays(run):
    measure = python_app(_measure)
    kept = python_app(keep_remote=True)(_make)(3_000_000)
    ref = cnflow.put([bytearray(4_000_000), "put"])
    assert measure(kept).result(120) == (3_000_000, "kept")
    assert not kept._result.is_here()
    assert [future.result(120) for future in (measure(ref), measure(ref))] == [(4_000_000, "put")] * 2
    assert _measure(kept.result(120)) == (3_000_000, "kept")
