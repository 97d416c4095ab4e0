"""Images built from recipes on real engines, by each of their builders."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from cnflow import Image
from cnflow.config import DockerProvider
from cnflow.errors import ImageBuildError
from cnflow.images.builder import Progress
from cnflow.images.buildkit import find_command
from cnflow.images.own_images import RECIPE_LABEL, STEP_LABEL, choose_to_remove
from cnflow.providers.docker.building import DockerBuildEngine, build_image
from cnflow.providers.docker.client import Engine

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]

both_builders = pytest.mark.parametrize("builder", ["buildkit", "classic"], indirect=True)


@pytest.fixture
def builder(request, monkeypatch):
    """The builder that builds; skips where the docker command has no BuildKit."""
    if request.param == "buildkit" and find_command(os.environ["PATH"]) is None:
        pytest.skip("No docker command with BuildKit. Run: sudo apt-get install docker.io, or docker-buildx")
    monkeypatch.setenv("CNFLOW_BUILDER", request.param)
    return request.param


@pytest.fixture
def name(engine):
    """Name for images that are removed at the end, with what lies between their steps."""
    part = f"test-{uuid.uuid4().hex[:8]}"
    yield part
    for image in engine.images.list(name=f"cnflow/{part}"):
        for tag in image.tags:
            engine.images.remove(tag, force=True)
    for image in engine.images.list(filters={"label": STEP_LABEL, "dangling": True}):
        if part in json.dumps(image.history()):
            engine.images.remove(image.id, force=True)


@pytest.fixture
def connected(engine):
    engine = Engine(DockerProvider())
    yield engine
    engine.close()


@pytest.fixture
def build(connected, tmp_path):
    """Builds an image: ``build(image) -> name``; ``build.steps`` are the words of its progress."""

    def run(image):
        progress = Progress(run.steps.append, run.lines.append)
        return build_image(connected, image, tmp_path / "cache", progress, tmp_path / "build.log")

    run.steps, run.lines, run.log = [], [], tmp_path / "build.log"
    return run


def output_of(engine, image, command):
    container = engine.containers.run(image, ["/bin/sh", "-c", command], detach=True)
    try:
        assert container.wait()["StatusCode"] == 0
        return container.logs().decode()  # what is followed while it ends may lack its last lines
    finally:
        container.remove()


def test_image_is_built_again_only_if_its_files_changed(build, engine, name, image_base, tmp_path):
    source = tmp_path / "src"
    source.mkdir()
    (source / "value").write_text("one")
    image = (
        Image.python("3.11", base=image_base, name=name)
        .copy_local(str(source), "/opt/v")
        .env(A='x "$y"')
        .workdir("/opt")
    )
    first = build(image)
    assert output_of(engine, first, 'cat v/value; printf %s "$A"') == 'onex "$y"'
    build.steps.clear()
    started = time.monotonic()
    assert build(image) == first
    assert (build.steps, time.monotonic() - started < 1) == ([], True)
    (source / "value").write_text("two")
    assert output_of(engine, build(image), "cat v/value") == "two"


@pytest.mark.engines
@both_builders
def test_secret_reaches_its_step_and_no_layer(build, builder, engine, engine_name, name, image_base, monkeypatch):  # noqa: PLR0913, PLR0917 - fixtures
    if (engine_name, builder) == ("podman", "buildkit"):
        pytest.skip("Podman has one builder")
    secret = f"hush{uuid.uuid4().hex}"
    monkeypatch.setenv("BUILD_TOKEN", secret)
    count = 'test ${#BUILD_TOKEN} = "$(wc -c </run/secrets/BUILD_TOKEN)"; echo token $BUILD_TOKEN'
    image = (
        Image(image_base).run(f"{count}; echo {name} | sha256sum >/done", secrets=["BUILD_TOKEN"]).run("test -e /done")
    )
    built = build(image.replace("", recipe={**image.plain()["recipe"], "name": name}))
    assert any("token [secret]" in line for line in build.lines)
    assert secret not in build.log.read_text()
    content = b"".join(engine.images.get(built).save())
    written = hashlib.sha256(f"{name}\n".encode()).hexdigest()
    assert written.encode() in content  # the layer of the step is there
    assert secret.encode() not in content
    described = engine.images.get(built)
    assert secret not in json.dumps([described.history(), described.attrs])
    assert not described.attrs["Config"].get("Entrypoint")
    assert described.attrs["Config"]["Cmd"] == engine.images.get(image_base).attrs["Config"]["Cmd"]


@both_builders
def test_file_goes_into_a_folder_that_the_image_has(build, builder, engine, name, image_base, tmp_path):
    (tmp_path / "own.txt").write_text("own\n")
    image = Image.python("3.11", base=image_base, name=name).run("mkdir /opt/app && echo theirs >/opt/app/kept.txt")
    built = build(image.copy_local(str(tmp_path / "own.txt"), "/opt/app"))
    assert output_of(engine, built, "cat /opt/app/own.txt /opt/app/kept.txt").split() == ["own", "theirs"]


@both_builders
def test_failed_step_is_quoted_and_leaves_no_image(build, builder, engine, name, image_base):
    image = Image.python("3.11", base=image_base, name=name).run("echo first").run("echo broken wheel >&2; exit 3")
    with pytest.raises(ImageBuildError, match=r"failed at step 2 of 2, run\('echo broken") as caught:
        build(image)
    assert "\n    broken wheel\n" in str(caught.value)
    assert str(caught.value).endswith(f"The whole log is {build.log}.")
    assert "broken wheel" in build.log.read_text()
    assert engine.images.list(name=f"cnflow/{name}") == []


@pytest.mark.parametrize("builder", ["classic"], indirect=True)
def test_failed_step_with_secrets_is_quoted_and_leaves_no_container(
    build, builder, engine, name, image_base, monkeypatch
):
    monkeypatch.setenv("BUILD_TOKEN", "hush")
    image = Image.python("3.11", base=image_base, name=name).run("echo no way; exit 4", secrets=["BUILD_TOKEN"])
    with pytest.raises(ImageBuildError, match=r"step 1 of 1, run\('echo no way.*exited with code 4\n.*\n    no way"):
        build(image)
    assert engine.containers.list(all=True, filters={"label": "cnflow.build"}) == []


def test_missing_secret_is_reported_before_anything_is_built(build, name, image_base, monkeypatch):
    monkeypatch.delenv("BUILD_TOKEN", raising=False)
    with pytest.raises(ImageBuildError, match="BUILD_TOKEN"):
        build(Image.python("3.11", base=image_base, name=name).run("x", secrets=["BUILD_TOKEN"]))
    assert not any("building" in words for words in build.steps)


def test_base_that_is_not_there_is_named_with_what_to_do(build, name):
    image = Image.python("3.11", base="cnflow-no-such-base:1", name=name).run("x").replace(pull="never")
    with pytest.raises(ImageBuildError, match="base 'cnflow-no-such-base:1' is not here") as caught:
        build(image)
    assert "CNFLOW_BASE_IMAGE" in str(caught.value)


@both_builders
def test_dockerfile_is_built_with_the_files_that_its_dockerignore_leaves(
    build, builder, engine, name, image_base, tmp_path
):
    context = tmp_path / "context"
    (context / "sub").mkdir(parents=True)
    for path in ("keep.txt", "drop.log", "sub/keep.log", "sub/b.txt"):
        (context / path).write_text(path)
    (context / ".dockerignore").write_text("*\n!keep.txt\n!sub\nsub/*.txt\n")
    (context / "Dockerfile").write_text(
        "ARG BASE\nFROM ${BASE} AS one\nARG WORD=none\nCOPY . /opt/c\nRUN echo $WORD >/opt/word\nFROM one\n"
    )
    image = Image.from_dockerfile(str(context), args={"BASE": image_base, "WORD": "given"}, target="one", name=name)
    listed = output_of(engine, build(image.run("echo more >>/opt/word")), "cd /opt; cat word; find c -type f | sort")
    assert listed.split() == ["given", "more", "c/keep.txt", "c/sub/keep.log"]


def test_invalid_dockerfile_is_refused_in_the_builders_words(build, name, image_base, tmp_path):
    (tmp_path / "Dockerfile").write_text(f"FROM {image_base}\nRUNN x\n")
    with pytest.raises(ImageBuildError, match=r"(?is)unknown instruction: RUNN.*not valid"):
        build(Image.from_dockerfile(str(tmp_path / "Dockerfile"), name=name))


SCRIPT = """\
import sys
from pathlib import Path
from cnflow import Image
from cnflow.config import DockerProvider
from cnflow.providers.docker.building import build_image
from cnflow.providers.docker.client import Engine

name, base, cache, command = sys.argv[1:]
engine = Engine(DockerProvider())
print(build_image(engine, Image.python("3.11", base=base, name=name).run(command), Path(cache)))
engine.close()
"""


def start(arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def test_two_processes_build_an_image_once(engine, name, image_base, tmp_path):
    both = [start([name, image_base, tmp_path, "sleep 2"]) for _ in range(2)]
    outputs = [process.communicate(timeout=90) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert outputs[0][0] == outputs[1][0]
    words = outputs[0][1] + outputs[1][1]
    assert words.count(": building image") == 1
    assert words.count("waiting for another process") == 1


@both_builders
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "killed"])
def test_interrupted_build_leaves_no_image(builder, engine, name, image_base, tmp_path, until, number):  # noqa: PLR0913, PLR0917 - fixtures
    process = start([name, image_base, tmp_path, f"echo begun {name}; sleep 4"])
    until(lambda: any("begun" in log.read_text() for log in Path(tmp_path).glob("builds/*.log")))
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode != 0
    assert engine.images.list(name=f"cnflow/{name}") == []
    if number == signal.SIGINT:
        time.sleep(4)
        assert engine.images.list(name=f"cnflow/{name}") == []


def test_prune_removes_own_images_that_nothing_uses_and_no_others(build, connected, engine, name, image_base):
    first, second = (build(Image.python("3.11", base=image_base, name=name).run(f"echo {n} {name}")) for n in "12")
    mine = f"test-own-{name}:1"
    engine.images.build(fileobj=io.BytesIO(f"FROM {first}\nENV A=1\n".encode()), tag=mine, rm=True)
    container = engine.containers.create(second)
    try:
        builds = DockerBuildEngine(connected)
        assert engine.images.get(mine).labels[RECIPE_LABEL]  # inherited
        assert run_prune(name) == "Nothing to remove.\n"
        container.remove()
        assert run_prune(name, "--older-than", "1h") == "Nothing to remove.\n"
        assert run_prune(name, "--dry-run") == f"would remove {second}\n"
        assert run_prune(name) == f"removed {second}\n"
        left = [each for each in builds.labelled_images(RECIPE_LABEL) if name in str(each.names)]
        assert {each for image in left for each in image.names} == {first, mine}
        assert choose_to_remove(left, time.time()) == []
        assert first in run("ls")
    finally:
        engine.images.remove(mine)


def run_prune(name, *options):
    return run("prune", name, *options)


def run(*words):
    command = [sys.executable, "-m", "cnflow.cli", "image", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


APP = """\
import sys

import cnflow
from cnflow.config import Config, DockerProvider, HighThroughputExecutor

start = cnflow.Image.from_requirements("requirements.txt", base=sys.argv[1], name=sys.argv[2])


@cnflow.python_app(image=start.copy_local("own", "/opt/own").env(PYTHONPATH="/opt/own"))
def versions():
    import own_module
    import six

    return own_module.VALUE, six.__version__


if __name__ == "__main__":
    with cnflow.load(Config(executors=[HighThroughputExecutor(provider=DockerProvider())])):
        print(*versions().result())
"""


@pytest.mark.engines
def test_app_runs_in_an_image_that_is_built_for_it(engine, name, image_base, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "own_module.py").write_text("VALUE = 42\n")
    (tmp_path / "requirements.txt").write_text("six==1.16.0\n")
    (tmp_path / "script.py").write_text(APP)
    command = [sys.executable, "script.py", image_base, name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=150, check=False)
    assert (done.stdout, done.returncode) == ("42 1.16.0\n", 0), done.stderr
    assert "cnflow: building image cnflow/" in done.stderr
    assert "copy_local('own', '/opt/own')" in done.stderr
    logs = list((tmp_path / "runinfo").glob("*/*/image-build.log"))
    assert len(logs) == 1
    assert "requirements.txt" in logs[0].read_text()


def test_command_builds_what_a_script_would_run_in(engine, name, image_base, tmp_path):
    text = APP.replace("sys.argv[1]", repr(image_base)).replace("sys.argv[2]", repr(name))
    (tmp_path / "own").mkdir()
    (tmp_path / "requirements.txt").write_text("# nothing\n")
    (tmp_path / "script.py").write_text(text)
    command = [sys.executable, "-m", "cnflow.cli", "image", "build", "script.py:versions"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"cnflow/{name}:")
    assert engine.images.get(done.stdout.strip())
