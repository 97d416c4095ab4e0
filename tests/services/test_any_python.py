"""Images with any Python from 3.8 on, on glibc and musl, and images with none: their workers run."""

import io
import math
import os
import platform
import subprocess
import tarfile
import uuid
from functools import partial
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, Image, bash_app, python_app
from cnflow.capsule import CARRIED_PYTHON, MARKED_ROOT, Probe, carrying_kind
from cnflow.config import DockerProvider, HighThroughputExecutor
from cnflow.errors import ImageUnusableError
from cnflow.providers.docker.client import Engine
from cnflow.providers.docker.provider import DockerBackend

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]

# Functions that are installed everywhere are pickled by name, and any Python can run them.
factorial = python_app(math.factorial)
version = python_app(platform.python_version)

REPOSITORY = Path(__file__).parents[2]
MINORS = ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13"]
TEST_FOLDERS = {"test", "tests", "site-packages", "idlelib", "__pycache__", "ensurepip", "lib2to3"}

TOOL = r"""
#include <stdio.h>
int main(int count, char **arguments) { printf("tool %s\n", count > 1 ? arguments[1] : ""); return 0; }
"""


@python_app
def look():
    import multiprocessing
    import os
    import socket
    import subprocess
    import sys

    with multiprocessing.get_context("fork").Pool(1) as pool:
        from_pool = pool.map(abs, [-3])
    asked = subprocess.run([sys.executable, "-c", "print(40 + 2)"], capture_output=True, text=True, check=True)
    socket.getaddrinfo("127.0.0.1", 80)
    return sys.executable, asked.stdout, from_pool, {name for name in os.environ if name.startswith(("LD_", "PYTHON"))}


@bash_app
def command(line):
    return line


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Loads a run of one executor and returns the outcomes of calls: each a value, or an exception."""
    monkeypatch.chdir(tmp_path)

    def outcomes(image, *calls, **options):
        executor = HighThroughputExecutor(image=image, provider=DockerProvider(**options), max_workers=1)
        with cnflow.load(Config(executors=[executor])):
            futures = [call() for call in calls]
            return [future.exception(150) or future.result() for future in futures]

    return outcomes


@pytest.fixture
def image(engine):
    """Makes an image of files alone, without any of a base image: content or path of each, by its path."""
    names = []

    def make(files, changes=()):
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(content), 0o755
                tar.addfile(member, io.BytesIO(content))
        names.append(f"cnflow-test-{uuid.uuid4().hex[:8]}")
        engine.api.import_image_from_data(archive.getvalue(), repository=names[-1], tag="1", changes=list(changes))
        names[-1] += ":1"
        return names[-1]

    yield make
    for name in names:
        engine.images.remove(name, force=True)


@pytest.fixture(scope="session")
def interpreters_image(engine, image_base, pythons, once_for_all):
    """Name of an image with each interpreter of this machine, at the path that it has here."""
    folders = [Path(pythons[minor]).resolve().parents[1] for minor in MINORS]
    name = f"cnflow-test-pythons:{'-'.join(folder.name for folder in folders)}"

    def make():
        if engine.images.list(name=name):
            return
        container = engine.containers.create(image_base, ["true"])
        try:
            for folder in folders:
                archive = io.BytesIO()
                with tarfile.open(fileobj=archive, mode="w") as tar:
                    for part in ("bin", "lib"):
                        tar.add(folder / part, filter=lambda m: None if TEST_FOLDERS & set(m.name.split("/")) else m)
                container.put_archive("/", archive.getvalue())
            repository, _, tag = name.partition(":")
            container.commit(repository, tag)
        finally:
            container.remove()

    once_for_all(make, "pythons-image")
    return name


@pytest.mark.pythons
@pytest.mark.parametrize("minor", MINORS)
def test_worker_runs_on_each_interpreter_in_an_image(run, interpreters_image, pythons, minor):
    folder = Path(pythons[minor]).resolve().parent
    got = run(interpreters_image, version, partial(factorial, 5), environment={"PATH": f"{folder}:/usr/bin:/bin"})
    assert got[0].startswith(f"{minor}.")
    assert got[1] == 120


def test_image_with_an_older_python_runs_apps_on_the_carried_one_and_a_warning_says_so(
    run, image_base, tmp_path, caplog
):
    answer = Probe("2.7.18", "CPython", os.uname().machine, "glibc 2.17", "/usr/local/bin/python3")
    old = tmp_path / "python3"
    old.write_text(f"#!/bin/sh\necho '{answer.to_json()}'\n")
    old.chmod(0o755)
    got = run(image_base, version, partial(command, "echo x | grep x"), mounts={str(old): "/usr/local/bin/python3:ro"})
    assert got == [platform.python_version(), 0]
    assert "has Python 2.7.18" in caplog.text
    assert "too old for workers" in caplog.text


@pytest.mark.suites
@pytest.mark.parametrize(("suite", "minor"), [("trixie", "3.13"), ("sid", "3.14")])
def test_worker_runs_in_the_image_of_a_debian_suite(run, suite, minor):
    got = run(f"cnflow-base:{suite}", version, partial(factorial, 5))
    assert got[0].startswith(f"{minor}.")
    assert got[1] == 120


@pytest.mark.cc
def test_image_of_one_program_runs_it_and_python_apps(run, image, tmp_path, caplog):
    (tmp_path / "tool.c").write_text(TOOL)
    subprocess.run(["cc", "-static", "-o", tmp_path / "tool", tmp_path / "tool.c"], check=True)
    name = image({"tool": (tmp_path / "tool").read_bytes()})
    seen, *others = run(name, look, partial(command, "/tool hello", stdout="said.txt"), version, partial(factorial, 5))
    assert seen == (f"/.cnflow/capsule/{CARRIED_PYTHON}", "42\n", [3], set())
    assert others == [0, platform.python_version(), 120]
    assert (tmp_path / "said.txt").read_text() == "tool hello\n"
    assert f"image '{name}' has no Python" in caplog.text


@pytest.fixture
def busybox_image(engine, image_base):
    """Name of an image with busybox and the C library musl, and nothing else."""
    name = f"cnflow-test-{uuid.uuid4().hex[:8]}:1"
    dockerfile = f"""
FROM {image_base} AS packages
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends busybox-static musl
FROM scratch
COPY --from=packages /bin/busybox /bin/busybox
COPY --from=packages /lib/ld-musl-x86_64.so.1 /lib/x86_64-linux-musl/libc.so /lib/
RUN ["/bin/busybox", "--install", "-s", "/bin"]
"""
    engine.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=name, rm=True)
    yield name
    engine.images.remove(name, force=True)


def test_image_with_a_shell_and_musl_runs_commands_and_python_apps(run, busybox_image, tmp_path):
    line = "set -e; /lib/libc.so 2>&1 | grep 'musl libc'; ls / | grep -v lost; echo $0"
    seen, code, five = run(busybox_image, look, partial(command, line, stdout="said.txt"), partial(factorial, 5))
    assert (seen[1:3], code, five) == (("42\n", [3]), 0, 120)
    said = (tmp_path / "said.txt").read_text()
    assert "musl libc" in said
    assert said.endswith("sh\n")


def test_carried_python_is_copied_where_the_engine_is_not_of_this_machine(found_image, image, capsule_cache):
    found = found_image(image({"hello": b"hi"}), capsule_cache)
    assert found.kind == carrying_kind()
    assert (found.probe.is_carried, found.probe.version) == (True, platform.python_version())


def test_image_that_contains_a_carrying_capsule_needs_no_delivery(image, engine, tmp_path, capsule_cache):
    provider = DockerBackend(DockerProvider(), cache_dir=capsule_cache)
    try:
        provider.unpack_capsule(Image(image({"hello": b"hi"})), tmp_path / "capsule")
        files = {
            f"{MARKED_ROOT[1:]}/{path.relative_to(tmp_path / 'capsule')}": path.read_bytes()
            for path in (tmp_path / "capsule").rglob("*")
            if path.is_file()
        }
        name = image(files)
        provider.prepare(Image(name))
        found = provider._images[Image(name).key]
        assert found.holds_capsule
        assert found.probe.executable == f"{MARKED_ROOT}/{CARRIED_PYTHON}"
    finally:
        provider.close()


def test_image_without_python_for_another_architecture_is_refused(image, monkeypatch, capsule_cache):
    monkeypatch.setattr(Engine, "image_machine", lambda *_: "aarch64")
    provider = DockerBackend(DockerProvider(), cache_dir=capsule_cache)
    with pytest.raises(ImageUnusableError, match=r"is for \w+, not for aarch64"):
        provider.prepare(Image(image({"hello": b"hi"})))
    provider.close()


CARRY = """
import pathlib, sys
sys.path.insert(0, sys.argv[1])
from cnflow.capsule.interpreter import copy_interpreter
folder = pathlib.Path(sys.argv[2])
(folder / "packages").mkdir(parents=True)
copy_interpreter(folder, folder / "packages")
"""

USE = """
import asyncio, bz2, ctypes, hashlib, lzma, multiprocessing, pwd, ssl, sys, zlib
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(abs, [-3]) == [3]
    print(sys.executable, "%d.%d" % sys.version_info[:2])
"""


@pytest.mark.pythons
@pytest.mark.parametrize(
    "minor", ["3.10", *(pytest.param(newer, marks=pytest.mark.long) for newer in ("3.12", "3.13"))]
)
def test_interpreter_of_each_driver_runs_in_an_image_with_nothing(engine, image, pythons, minor, tmp_path):
    command = [pythons[minor], "-B", "-c", CARRY, REPOSITORY, tmp_path / "capsule"]
    subprocess.run(command, check=True)
    (tmp_path / "capsule" / "use.py").write_text(USE)
    said = engine.containers.run(
        image({"hello": b"hi"}),
        [f"/any/where/{CARRIED_PYTHON}", "-I", "/any/where/use.py"],
        volumes={str(tmp_path / "capsule"): {"bind": "/any/where", "mode": "ro"}},
        network_mode="none",
        remove=True,
    )
    assert said.decode() == f"/any/where/{CARRIED_PYTHON} {minor}\n"


@pytest.mark.long
@pytest.mark.suites
def test_interpreter_of_debian_sid_runs_in_an_image_with_nothing(engine, image, tmp_path):
    volumes = {str(REPOSITORY): {"bind": "/src", "mode": "ro"}, str(tmp_path): {"bind": "/out", "mode": "rw"}}
    engine.containers.run(
        "cnflow-base:sid", ["python3", "-B", "-c", CARRY, "/src", "/out/capsule"], volumes=volumes, remove=True
    )
    volumes = {str(tmp_path / "capsule"): {"bind": "/any/where", "mode": "ro"}}
    command = [f"/any/where/{CARRIED_PYTHON}", "-c", "import ssl, sys; print(sys.version.split()[0])"]
    said = engine.containers.run(image({"hello": b"hi"}), command, volumes=volumes, remove=True)
    assert said.decode().startswith("3.14.")


DRIVER = """
import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor, ThreadPoolExecutor

@python_app
def add(a, b):
    return a + b

if __name__ == "__main__":
    for executor in (ThreadPoolExecutor(), HighThroughputExecutor(max_workers=1)):
        with cnflow.load(Config(executors=[executor])):
            print(add(add(1, 2), b=3).result(60))
"""


@pytest.mark.long
@pytest.mark.suites
@pytest.mark.timeout(600)  # it installs cnflow, from the package index
def test_driver_runs_on_python_3_14(engine, tmp_path):
    (tmp_path / "script.py").write_text(DRIVER)
    line = (
        "cp -r /src/cnflow /src/pyproject.toml /src/README.md /src/LICENSE /tmp && cd /tmp && python3 -m venv v "
        "&& v/bin/pip install -q --no-compile /tmp >&2 && exec v/bin/python -W error /out/script.py"
    )
    volumes = {str(REPOSITORY): {"bind": "/src", "mode": "ro"}, str(tmp_path): {"bind": "/out", "mode": "ro"}}
    said = engine.containers.run("cnflow-base:sid", ["sh", "-c", line], volumes=volumes, remove=True)
    assert said.decode().split() == ["6", "6"]
