"""Output of tasks in containers: on the driver's stderr while they run, and in the run's folder afterwards."""

import pytest

import cnflow
from cnflow import Config, bash_app, python_app
from cnflow.cli.log_output import show_logs
from cnflow.config import DockerProvider, HighThroughputExecutor

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]


@python_app
def say(count):
    for number in range(count):
        print("line", number)  # noqa: T201 - it is what the test is about


@bash_app
def shell():
    return "echo from a shell"


def test_output_of_tasks_in_containers_is_shown_and_kept_within_its_size(image_base, tmp_path, capfd):
    executor = HighThroughputExecutor(image=image_base, provider=DockerProvider(), max_workers=1)
    config = Config(executors=[executor], run_dir=str(tmp_path), stream_logs=True, log_size="1MB")
    with cnflow.load(config) as dfk:
        shell().result(120)
        say(100_000).result(60)
        say(3).result(60)
    shown = capfd.readouterr().err.splitlines()
    assert "shell[0] | from a shell" in shown
    last = [f"say[2] | line {number}" for number in range(3)]
    assert [line for line in shown if line.startswith("say[2]")] == last
    kept = []
    show_logs("2", tmp_path, follow=False, last=0, write=kept.append)
    assert [line for line in kept if line.startswith("say[2]")] == last
    sizes = [file.stat().st_size for file in dfk.run_dir.glob("*/block-0.log*")]
    assert len(sizes) == 2
    assert sum(sizes) < 1_000_000 + 2 * 300_000
