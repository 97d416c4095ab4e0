"""Tasks with a container of their own, on a real engine."""

import os
import uuid
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, File, Image, bash_app, python_app
from cnflow.errors import AppTimeout, BashExitFailure, CnflowError
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import DockerProvider

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]


def place():
    import os
    import socket

    return socket.gethostname(), os.getuid()


def leave_a_daemon(marker, folder):
    """Start a process that is no child and in no session of the worker's; then sleep."""
    import os
    import subprocess
    import time

    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            subprocess.run(["sleep", "600"], env={**os.environ, "MARKER": marker}, check=False)
        os._exit(0)
    time.sleep(0.3)
    (folder / marker).touch()
    time.sleep(60)


def has_marked_process(marker):
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"MARKER={marker}".encode() in environment.read_bytes():
                return True
        except OSError:
            continue
    return False


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Loads a template of containers, of which at most three run at a time, and which see the test's folder."""
    monkeypatch.chdir(tmp_path)

    def load(**options):
        provider = DockerProvider(max_blocks=2, create={"labels": {"cnflow.test": str(tmp_path)}})
        executor = HighThroughputExecutor(label="template", provider=provider)
        return cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "run"), **options))

    return load


@pytest.fixture
def containers(engine, tmp_path):
    return lambda: engine.containers.list(all=True, ignore_removed=True, filters={"label": f"cnflow.test={tmp_path}"})


def test_each_task_has_a_container_of_its_own_which_ends_with_it(run, image_base, containers, until):
    with run():
        futures = [python_app(place, image=image_base, fresh=True)() for _ in range(4)]
        hosts = [future.result()[0] for future in futures]
        assert len(set(hosts)) == 4
        until(lambda: not {one.id[:12] for one in containers()} & set(hosts))
    assert containers() == []


@pytest.mark.parametrize("how", ["walltime", pytest.param("cancel", marks=pytest.mark.long)])
def test_a_daemon_of_a_stopped_task_ends_with_its_container(run, image_base, tmp_path, until, how):
    marker = uuid.uuid4().hex
    limit = {"walltime": 3.0} if how == "walltime" else {}
    with run():
        future = python_app(leave_a_daemon, image=image_base, fresh=True, **limit)(marker, tmp_path)
        until((tmp_path / marker).exists, timeout=60.0)
        assert has_marked_process(marker)
        if how == "cancel":
            future.cancel()
        else:
            with pytest.raises(AppTimeout):
                future.result()
        until(lambda: not has_marked_process(marker))
        assert python_app(place, image=image_base, fresh=True)().result()


def test_output_files_stdout_and_a_sandbox_work_as_for_other_tasks(run, image_base, tmp_path):
    @bash_app(image=image_base, fresh=True, sandbox=True)
    def copy(inputs=(), outputs=(), stdout=None):
        return f"echo told; cat {inputs[0]} > {outputs[0]}"

    (tmp_path / "in.txt").write_text("content\n")
    with run():
        done = copy(inputs=[File("in.txt")], outputs=[File("out.txt")], stdout="told.txt")
        done.outputs[0].result()
    assert (tmp_path / "out.txt").read_text() == "content\n"
    assert (tmp_path / "told.txt").read_text() == "told\n"
    assert (tmp_path / "out.txt").stat().st_uid == os.getuid()


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("no-such-program --help; exit $?", 127, "not found"),
        pytest.param("/etc/passwd; exit $?", 126, "cannot be executed", marks=pytest.mark.long),
        pytest.param("exit 125", 125, "a failure of themselves", marks=pytest.mark.long),
        ("sh -c 'kill -9 $$'; exit $?", 137, "memory"),
    ],
)
def test_exit_codes_with_a_meaning_are_explained_with_the_image(run, image_base, command, code, words):
    with run(), pytest.raises(BashExitFailure) as failed:
        bash_app(lambda: command, image=image_base, fresh=True)().result()
    assert failed.value.exitcode == code
    assert words in str(failed.value)
    assert image_base in str(failed.value)


def test_a_task_that_takes_more_memory_than_its_container_fails_alone_with_the_limit(run, image_base):
    def fill():
        return len(bytearray(512 * 2**20))

    image = Image(image_base, memory="128m")
    with run():
        large = python_app(fill, image=image, fresh=True)()
        others = [python_app(place, image=image, fresh=True)() for _ in range(2)]
        with pytest.raises(CnflowError, match="memory") as failed:
            large.result()
        assert all(future.result() for future in others)
    assert image_base in str(failed.value)


def test_a_task_without_an_image_gets_a_fresh_container_of_the_executors(image_base, tmp_path):
    executor = HighThroughputExecutor(label="one", image=image_base, provider=DockerProvider(init_blocks=0))
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path))):
        futures = [python_app(place, fresh=True)() for _ in range(2)]
        assert len({future.result()[0] for future in futures}) == 2


def test_a_retry_runs_in_another_container_and_a_known_result_in_none(run, image_base, tmp_path):
    def fail_once(path):
        import socket

        with path.open("a") as file:
            file.write(f"{socket.gethostname()}\n")
        hosts = path.read_text().split()
        if len(hosts) == 1:
            raise ValueError("the first try")
        return hosts

    with run(retries=1):
        app = python_app(fail_once, image=image_base, fresh=True, cache=True)
        first, second = app(tmp_path / "hosts").result()
        assert first != second
        assert app(tmp_path / "hosts").result() == [first, second]
