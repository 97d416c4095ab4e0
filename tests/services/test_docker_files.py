"""Files of tasks in containers of a local engine: they are where the script's paths say, and the script's user's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import cnflow
from cnflow import AUTO_LOGNAME, Config, File, bash_app, python_app
from cnflow.config import DockerProvider, HighThroughputExecutor, ThreadPoolExecutor
from cnflow.errors import MissingOutputs

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    (folder / "data").mkdir()
    (folder / "data/in.txt").write_text("given\n")
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """A folder that is mounted at another path, and one that is not mounted at all."""
    return tmp_path_factory.mktemp("mounted"), tmp_path_factory.mktemp("unseen")


@pytest.fixture(scope="module")
def run(home, outside, tmp_path_factory, image_base):
    """One run for all tests: a template, and threads; its folder is not below the script's."""
    provider = DockerProvider(mounts={str(outside[0]): "/data"}, environment={"PROBED": str(home)})
    executors = [HighThroughputExecutor(provider=provider, max_workers=1), ThreadPoolExecutor()]
    config = Config(executors=executors, run_dir=str(tmp_path_factory.mktemp("runs")))
    with cnflow.load(config) as dfk:
        yield dfk


@pytest.fixture
def say(run, image_base):
    return bash_app(_say, image=image_base)


@pytest.fixture
def read(run, image_base):
    return python_app(_read, image=image_base)


def _say(text="hello", outputs=(), inputs=(), stdout=None, stderr=None):
    return f"echo {text}; echo err >&2" + "".join(f"; echo made > {output}" for output in outputs)


def _read(file):
    import pathlib

    return pathlib.Path(file).read_text()


def test_output_goes_to_files_of_the_script(say, home, run):
    plain, named = say(stdout="out.txt", stderr=Path("logs/err.txt")), say(stdout=AUTO_LOGNAME, stderr=AUTO_LOGNAME)
    replaced = say("new", stdout=(str(home / "replaced.txt"), "w"))
    nothing = say(stdout="/dev/null")
    assert [each.result(120) for each in (plain, named, replaced, nothing)] == [0, 0, 0, 0]
    assert (home / "out.txt").read_text() == "hello\n"
    assert (home / "logs/err.txt").read_text() == "err\n"
    assert (home / "replaced.txt").read_text() == "new\n"
    assert Path(named.stdout).read_text() == "hello\n"
    assert Path(named.stderr).is_relative_to(run.run_dir)


def test_outputs_are_there_for_the_script_and_for_the_next_task(say, read, home):
    made = say(outputs=["made.txt", File("sub-made.txt"), home / "absolute.txt"])
    there = python_app(_read, executors=["threads"])(made.outputs[1])
    assert read(made.outputs[0]).result(120) == there.result(120) == "made\n"
    assert Path(made.outputs[2].filepath).read_text() == "made\n"
    assert made.outputs[0].filepath == str(home / "made.txt")


def test_input_of_a_thread_is_there_in_the_container(read, home, run):
    made = bash_app(_say, executors=["threads"])(outputs=["by-thread.txt"])
    assert read(made.outputs[0]).result(120) == "made\n"
    assert read(File("data/in.txt")).result(120) == "given\n"


def test_task_begins_in_the_folder_of_the_script(run, image_base, home):
    @python_app(image=image_base)
    def write(name):
        import os
        import pathlib

        pathlib.Path(name).write_text("relative")
        return os.path.realpath(".")

    assert write("by-body.txt").result(120) == str(home)
    assert (home / "by-body.txt").read_text() == "relative"


def test_files_belong_to_the_user_of_the_script(say, home):
    say(outputs=["owned.txt"], stdout="new-folder/out.txt").result(120)
    for name in ("owned.txt", "new-folder", "new-folder/out.txt"):
        made = (home / name).stat()
        assert (made.st_uid, made.st_gid) == (os.getuid(), os.getgid())


def test_sandbox_gives_its_outputs_to_the_script(say, home):
    say(outputs=["from-sandbox.txt"], sandbox=True).result(120)
    assert (home / "from-sandbox.txt").read_text() == "made\n"


def test_missing_output_is_no_success(run, image_base, home):
    @bash_app(image=image_base)
    def elsewhere(outputs=()):
        return "cd /tmp; echo lost > never.txt"

    error = elsewhere(outputs=["never.txt"]).exception(120)
    assert isinstance(error, MissingOutputs)
    assert str(home / "never.txt") in str(error)


def test_file_of_another_mount_is_left_to_the_user(say, outside):
    say(outputs=["/data/there.txt"], stdout="/data/out.txt").result(120)
    assert (outside[0] / "there.txt").read_text() == "made\n"


def test_outputs_and_streams_that_the_container_does_not_see_travel(say, outside):
    there = outside[1]
    futures = [
        say(outputs=[str(there / "made.txt")]),
        say(stdout=there / "out.txt", stderr=str(there / "err.txt")),
        say(stdout=(str(there / "pair.txt"), "w")),
        say(stdout=File(str(there / "file.txt"))),
    ]
    assert [future.result(120) for future in futures] == [0] * 4
    assert futures[3].stdout.result(60).filepath == str(there / "file.txt")
    contents = {path.name: path.read_text() for path in there.glob("*.txt")}
    expected = {"made": "made\n", "out": "hello\n", "err": "err\n", "pair": "hello\n", "file": "hello\n"}
    assert {name: contents[f"{name}.txt"] for name in expected} == expected
    assert {path.stat().st_uid for path in there.glob("*.txt")} == {os.getuid()}


def test_inputs_that_the_container_does_not_see_travel(read, run, outside, home):
    unseen = outside[1] / "in.csv"
    unseen.write_text("x")
    (home / "link.txt").symlink_to(unseen)
    made = bash_app(_say, executors=["threads"])(outputs=[outside[1] / "by-thread.csv"])
    files = (File(str(unseen)), File("link.txt"), made.outputs[0])
    assert [read(file).result(120) for file in files] == ["x", "x", "made\n"]


def test_file_of_the_image_is_an_input(read):
    assert "tag" in read(File("/.cnflow/capsule/capsule.json")).result(120)


def test_relative_path_of_a_folder_that_is_not_mounted_travels(say, outside, home):
    os.chdir(outside[1])
    try:
        assert say(stdout="relative.log").result(120) == 0
    finally:
        os.chdir(home)
    assert (outside[1] / "relative.log").read_text() == "hello\n"


@pytest.fixture
def load(home, tmp_path, run):
    """Loads another run beside the one of the module."""
    cnflow.clear()
    yield lambda provider: cnflow.load(
        Config(executors=[HighThroughputExecutor(provider=provider, max_workers=1)], run_dir=str(tmp_path))
    )
    cnflow.dataflow.loaded_run.set_current(run)


def exists(path):
    import pathlib

    return pathlib.Path(path).exists()


def test_folders_can_be_left_out(load, image_base, home):
    with load(DockerProvider(mount_folders=False)):
        assert python_app(exists, image=image_base)(str(home)).result(120) is False
        made = bash_app(_say, image=image_base)(stdout=AUTO_LOGNAME, stderr="err.txt", outputs=["left-out/made.txt"])
        assert made.result(120) == 0
        assert Path(made.stdout).read_text() == "hello\n"
        assert Path(made.outputs[0].filepath).read_text() == "made\n"
        assert python_app(_read, image=image_base)(made.outputs[0]).result(120) == "made\n"


DRIVER_IN_A_NAMESPACE = """\
import sys, cnflow
from cnflow import Config, python_app
from cnflow.config import DockerProvider, HighThroughputExecutor

with cnflow.load(Config(executors=[HighThroughputExecutor(image=sys.argv[1], provider=DockerProvider())])):
    print(python_app(max)(1, 2).exception())
"""


@pytest.mark.root
@pytest.mark.parametrize("folder", ["", "below"])
def test_engine_that_does_not_see_the_scripts_files_is_named(image_base, tmp_path, folder):
    """As where the driver is in a container itself: on the engine's machine its folder is another one, or none."""
    script = tmp_path / "driver.py"
    script.write_text(DRIVER_IN_A_NAMESPACE)
    place = tmp_path / "place"
    place.mkdir()
    commands = f"mount -t tmpfs none {place} && mkdir -p {place}/below && cd {place}/{folder} && exec {sys.executable}"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f"{commands} {script} {image_base}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "mount_folders=False" in done.stdout, done.stderr
