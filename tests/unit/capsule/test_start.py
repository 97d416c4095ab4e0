"""The script that chooses a capsule in a container, run by this machine's shell with Pythons that it is given."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cnflow.capsule import CARRIED_PYTHON, PROBE_OPTIONS, Kind, kind_of, parse_probe, runs_workers
from cnflow.capsule.start import START_SCRIPT, start_argv

CARRIED = Kind("3.12", os.uname().machine, "glibc", carries_python=True)
OWN = Kind(f"{sys.version_info[0]}.{sys.version_info[1]}", os.uname().machine, "glibc")
REPORT = "import json, sys; print(json.dumps([sys.executable, *sys.argv]))"


@pytest.fixture
def start(tmp_path):
    """Runs the script with capsules of the given kinds, where PATH has the given programs alone."""
    script = tmp_path / "start.sh"
    script.write_text(re.sub(r" /[\w/]+/python3\b(?=[ ;])", "", START_SCRIPT))  # this machine has Pythons there

    def run(programs, kinds, shell="/bin/sh"):
        path = tmp_path / "path"
        path.mkdir()
        for name, text in programs.items():
            (path / name).write_text(text)
            (path / name).chmod(0o755)
        capsules = {}
        for kind in kinds:
            root = tmp_path / f"capsule of {kind.slug}"
            entry = root / "cnflow/manager/__main__.py"
            entry.parent.mkdir(parents=True)
            entry.write_text(REPORT)
            if kind.carries_python:
                own = root / CARRIED_PYTHON
                own.parent.mkdir(parents=True)
                own.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
                own.chmod(0o755)
            capsules[kind] = str(root)
        _, *arguments = start_argv(str(script), "/the settings", capsules)
        done = subprocess.run(
            [shell, *arguments], env={"PATH": str(path)}, capture_output=True, text=True, check=False, cwd=tmp_path
        )
        return done.returncode, json.loads(done.stdout)[1:] if done.stdout else None, done.stderr

    return run


def python(version, kind="-", executable="/image/python3"):
    """A program that answers as an interpreter does, and otherwise is this one."""
    return (
        f'#!/bin/sh\nif [ "$1" = -E ]; then echo "{version} {kind} {executable}"; else exec {sys.executable} "$@"; fi\n'
    )


def real(executable=sys.executable):
    return f'#!/bin/sh\nexec "{executable}" "$@"\n'


def test_image_with_a_python_of_a_pushed_kind_runs_all_with_it(start, tmp_path):
    code, argv, words = start({"python3": real()}, [OWN, CARRIED])
    if kind_of(_probe_of(sys.executable), "this Python") != OWN:
        pytest.skip("no capsule is made for the Python of the tests")
    assert code == 0
    assert argv == [f"{tmp_path}/capsule of {OWN.slug}/cnflow/manager/__main__.py", "/the settings"]
    assert "image's Python" in words


@pytest.mark.parametrize("version", ["3.8.18", "3.9.2", "3.13.0", "3.15.0"])
def test_other_python_of_an_image_runs_workers_and_the_carried_one_the_manager(start, tmp_path, version):
    code, argv, words = start({"python3": python(version)}, [Kind("3.2", "x86_64", "glibc"), CARRIED])
    assert (code, argv) == (
        0,
        [
            f"{tmp_path}/capsule of {CARRIED.slug}/cnflow/manager/__main__.py",
            "/the settings",
            f"--worker-python={version}:/image/python3",
        ],
    )
    assert f"the image's Python {version} the workers" in words


@pytest.mark.parametrize("programs", [{}, {"python3": python("3.7.17")}, {"python": python("2.7.18")}])
def test_image_without_a_python_that_could_run_workers_runs_the_carried_one(start, tmp_path, programs):
    code, argv, _ = start(programs, [OWN, CARRIED])
    assert (code, argv) == (0, [f"{tmp_path}/capsule of {CARRIED.slug}/cnflow/manager/__main__.py", "/the settings"])


def test_broken_python_is_passed_over(start):
    code, argv, _ = start({"python3": "#!/bin/sh\nexit 1\n", "python": python("3.10.1")}, [CARRIED])
    assert (code, argv[-1]) == (0, "--worker-python=3.10.1:/image/python3")


@pytest.mark.parametrize(
    ("programs", "words"),
    [({}, "it has no Python, and the site has none"), ({"python3": python("3.9.1", "cp39-x-glibc")}, "Python 3.9.1")],
)
def test_image_for_which_there_is_no_capsule_is_told(start, programs, words):
    code, _, error = start(programs, [Kind("3.2", "x86_64", "glibc")])
    assert code == 3
    assert words in error
    assert "Use an image such as python:3.11-slim" in error


@pytest.mark.skipif(shutil.which("busybox") is None, reason="No busybox. Run: apt-get install busybox")
def test_script_is_for_busybox_too(start, tmp_path):
    shell = tmp_path / "sh"
    shell.symlink_to(shutil.which("busybox"))
    assert start({"python3": python("3.10.1")}, [CARRIED], str(shell))[0] == 0


def _probe_of(executable):
    done = subprocess.run([executable, *PROBE_OPTIONS], capture_output=True, text=True, check=True)
    return parse_probe(done.stdout)


@pytest.mark.pythons
def test_script_chooses_as_a_probe_would(start, pythons, tmp_path):
    for number, executable in enumerate(pythons.values()):
        probe = _probe_of(executable)
        kind = kind_of(probe, "it", CARRIED)
        folder = tmp_path / str(number)
        folder.mkdir()
        script = folder / "start.sh"
        script.write_text(START_SCRIPT)
        (folder / "python3").write_text(real(executable))
        (folder / "python3").chmod(0o755)
        capsules = {}
        for each in dict.fromkeys([kind, CARRIED]):
            entry = folder / each.slug / "cnflow/manager/__main__.py"
            entry.parent.mkdir(parents=True)
            entry.write_text(REPORT)
            own = folder / each.slug / CARRIED_PYTHON
            own.parent.mkdir(parents=True)
            own.write_text(real())
            own.chmod(0o755)
            capsules[each] = str(folder / each.slug)
        argv = start_argv(str(script), "/settings", capsules)
        done = subprocess.run(argv, env={"PATH": str(folder)}, capture_output=True, text=True, check=True)
        said = json.loads(done.stdout)
        assert said[1].startswith(capsules[kind]), probe
        chosen = [f"--worker-python={probe.version}:{Path(probe.executable)}"]
        assert said[3:] == (chosen if kind.carries_python and runs_workers(probe) else []), probe
