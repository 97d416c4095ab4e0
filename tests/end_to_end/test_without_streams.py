"""A driver without standard streams (a service, a program without a console): its runs work as any."""

import subprocess
import sys

import pytest

SCRIPT = """
import sys
import cnflow
from cnflow import Config, bash_app, python_app
from cnflow.executors import HighThroughputExecutor, ThreadPoolExecutor

report = open({report!r}, "w")


@bash_app
def line(stdout=None):
    return "echo out; echo err >&2"


@bash_app
def fails():
    return "echo reason >&2; exit 3"


@bash_app
def long_line(stdout=None):
    return ": " + "x" * 200_000 + "; echo long"


@python_app
def prints(stdout=None, stderr=None):
    import sys

    print("printed")
    print("warned", file=sys.stderr)


folder = {folder!r}
with cnflow.load(Config(executors=[{executor}], run_dir=folder)):
    calls = [line(), line(stdout=folder + "/line"), long_line(stdout=folder + "/long"), prints()]
    calls.append(prints(stdout=folder + "/printed", stderr=folder + "/warned"))
    assert [call.exception(timeout=60) for call in calls] == [None] * len(calls)
    assert "reason" in str(fails().exception(timeout=60))
names = ("line", "long", "printed", "warned")
print([open(folder + "/" + name).read() for name in names], file=report)
"""


@pytest.mark.parametrize("executor", ["ThreadPoolExecutor()", "HighThroughputExecutor(max_workers=1)"])
@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_run_of_a_driver_without_streams_works(tmp_path, executor, closed):
    report, script = tmp_path / "report", tmp_path / "script.py"
    script.write_text(SCRIPT.format(report=str(report), folder=str(tmp_path), executor=executor))
    subprocess.run(["/bin/sh", "-c", f"{sys.executable} {script} {closed}"], check=True, timeout=200)
    assert report.read_text() == "['out\\n', 'long\\n', 'printed\\n', 'warned\\n']\n"
