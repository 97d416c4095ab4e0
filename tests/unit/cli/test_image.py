import json
from dataclasses import replace

import pytest

from cnflow.capsule import Probe
from cnflow.capsule.survey import FoundPython, ImageConfig, ImageReport, Survey
from cnflow.cli import image_report
from cnflow.model.finding import Finding, Verdict

REPORT = ImageReport(
    "app1:0.1",
    "sha256:1",
    ImageConfig("app", ("/enter",), ("serve", "now"), "/srv", {"LANG": "C", "API_TOKEN": "look-for-this"}, "x86_64"),
    Probe("3.11.2", "CPython", "x86_64", "glibc 2.36", "/usr/bin/python3"),
    "cp311-x86_64-glibc",
    Survey(
        pythons=(
            FoundPython("3.11.2", "/usr/bin/python3", "CPython"),
            FoundPython("3.9.1", "/opt/py/bin/python3", "PyPy"),
            FoundPython("3.13.0", "/usr/local/bin/python3.13", "CPython"),
        ),
        packages={f"package-{number:02d}": "1.0" for number in range(14)},
        system="Debian",
        user="app",
        home="/home/app",
        shell="/bin/bash",
        libcuda="/usr/lib/libcuda.so.1",
        cuda="12.4",
    ),
    (Finding("image 'app1:0.1'", Verdict.BAD, "its limit of open files is 8", "Raise it."),),
)


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    monkeypatch.setattr(image_report, "report_on", lambda reference: REPORT if reference == "app1:0.1" else None)


def test_check_prints_an_aligned_table_and_what_will_not_work(run_cnflow):
    code, shown, _ = run_cnflow("image", "check", "app1:0.1")
    assert code == 1
    lines = shown.splitlines()
    assert lines[:3] == [
        "image              app1:0.1",
        "digest             sha256:1",
        "system             Debian",
    ]
    assert "Python of workers  3.11.2  /usr/bin/python3" in lines
    assert "other Pythons      3.9.1  /opt/py/bin/python3  PyPy" in lines
    assert "                   3.13.0  /usr/local/bin/python3.13" in lines
    assert "ENTRYPOINT         /enter" in lines
    assert "GPU libraries      /usr/lib/libcuda.so.1, CUDA 12.4" in lines
    assert next(line for line in lines if line.startswith("packages")).endswith("and 2 more (--json)")
    assert lines[-2:] == ["bad: its limit of open files is 8.", "Raise it."]
    assert "look-for-this" not in shown


def test_python_that_is_not_of_the_image_is_named_as_such():
    report = replace(REPORT, probe=replace(REPORT.probe, is_carried=True), survey=Survey())
    assert "Python of workers  3.11.2  brought by cnflow, as the image has none" in image_report.table(report)


def test_check_prints_everything_as_json_without_secrets(run_cnflow):
    code, shown, _ = run_cnflow("image", "check", "app1:0.1", "--json")
    found = json.loads(shown)
    assert code == 1
    assert len(found["survey"]["packages"]) == 14
    assert found["findings"][0]["verdict"] == "bad"
    assert found["config"]["environment"] == {"LANG": "C", "API_TOKEN": "***"}
