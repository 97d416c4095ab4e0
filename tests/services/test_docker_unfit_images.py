"""Images and options that cannot work: the error of the task names image, step, the engine's words and what to do."""

import io
import struct
import tarfile
import uuid

import pytest

import cnflow
from cnflow import Config, Image, bash_app, python_app
from cnflow.config import DockerProvider, HighThroughputExecutor
from cnflow.errors import BlockError, ImageUnusableError
from cnflow.providers.docker import entrypoint
from cnflow.providers.docker.provider import DockerBackend

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]


@pytest.fixture
def import_files(engine):
    """Makes an image of nothing but files."""
    names = []

    def make(**files):
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for name, content in files.items():
                member = tarfile.TarInfo(name.replace("__", "/"))
                member.size, member.mode = len(content), 0o755
                tar.addfile(member, io.BytesIO(content))
        names.append(f"cnflow-test-{uuid.uuid4().hex[:8]}")
        engine.api.import_image_from_data(archive.getvalue(), repository=names[-1], tag="1")
        return f"{names[-1]}:1"

    yield make
    for name in names:
        engine.images.remove(f"{name}:1", force=True)


@pytest.fixture
def template(tmp_path, monkeypatch):
    """A run whose only executor is a template for images."""
    monkeypatch.chdir(tmp_path)
    executor = HighThroughputExecutor(label="boxes", provider=DockerProvider(), max_workers=1)
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runinfo"))):
        yield


@pytest.fixture
def backend(capsule_cache):
    made = DockerBackend(DockerProvider(), cache_dir=capsule_cache)
    yield made
    made.close()


@python_app
def add(a, b):
    return a + b


@bash_app
def say(words):
    return f"echo {words} && true"


@pytest.mark.usefixtures("template")
def test_entrypoint_that_swallows_its_arguments_is_named_with_what_it_printed(build):
    image = build('ENTRYPOINT ["/bin/echo", "at your service:"]')
    error = add.options(image=Image(image, entrypoint="keep"))(1, 2).exception(120)
    assert isinstance(error, ImageUnusableError)
    assert f"The ENTRYPOINT of image '{image}' swallows the command" in str(error)
    assert "exited with code 0. It printed: at your service: " in str(error)
    assert 'exec "$@"' in str(error)
    assert add.options(image=image)(1, 2).result(120) == 3, "cnflow's command takes the entrypoint's place"


def test_entrypoint_that_runs_a_service_of_its_own_is_ended(build, backend, monkeypatch):
    monkeypatch.setattr(entrypoint, "PATIENCE", 1.0)
    image = Image(build('ENTRYPOINT ["sh", "-c", "echo serving; sleep 100"]'), entrypoint="keep")
    with pytest.raises(ImageUnusableError, match=r"swallows .* was ended after 1 s. It printed: serving"):
        backend.prepare(image)


def test_entrypoint_that_does_not_start_is_named(image_base, backend):
    image = Image(image_base, entrypoint=["/no/such/program"])
    with pytest.raises(
        ImageUnusableError, match=r"The entrypoint \['/no/such/program'\] of image .* cannot be started"
    ):
        backend.prepare(image)


@pytest.mark.usefixtures("template")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"user": "nobody-here"}, ("unable to find user nobody-here", "user='1000'")),
        ({"network": "no-such-network"}, ("has no network 'no-such-network'",)),
        ({"gpus": 1}, ("NVIDIA container toolkit",)),
        ({"cpus": 100_000}, ("starting a block failed", "no more cpus=")),
        ({"ulimits": {"nofile": 8}}, ("oo many open files", "ulimits={'nofile': 1024}")),
        ({"pids": 1}, ("temporarily unavailable", "a larger pids=")),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_option_that_cannot_work_is_named_with_what_to_do(image_base, options, words):
    error = add.options(image=Image(image_base, **options))(1, 2).exception(150)
    assert isinstance(error, BlockError)
    assert [word for word in words if word not in str(error)] == []
    assert f"'{image_base}'" in str(error) or "network" in options


@pytest.mark.usefixtures("template")
def test_mount_whose_folder_is_missing_is_named_with_what_to_do(image_base, tmp_path_factory):
    missing = tmp_path_factory.mktemp("elsewhere") / "missing"
    error = add.options(image=Image(image_base, mounts=[f"{missing}:/data"]))(1, 2).exception(150)
    assert isinstance(error, BlockError)
    assert f"Image '{image_base}': the probe of its Python failed: " in str(error)
    assert f"bind source path does not exist: {missing}" in str(error)
    assert "make it there" in str(error)
    assert not missing.exists()


def test_image_for_another_architecture_is_named(import_files, backend):
    # The header of an ELF file for AArch64 (e_machine 183): https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
    header = (
        b"\x7fELF"
        + bytes([2, 1, 1])
        + bytes(9)
        + struct.pack("<HHIQQQIHHHHHH", 2, 183, 1, 0, 64, 0, 0, 64, 56, 0, 0, 0, 0)
    )
    image = import_files(usr__bin__python3=header)
    with pytest.raises(ImageUnusableError, match=rf"'{image}' is for another architecture.*exec format error"):
        backend.prepare(Image(image))


@pytest.mark.usefixtures("template")
def test_read_only_root_works_with_secrets_and_a_user_without_a_home(image_base, monkeypatch):
    monkeypatch.setenv("CNFLOW_TEST_TOKEN", "text")
    image = Image(image_base, user="4321", secrets=["CNFLOW_TEST_TOKEN"], extras={"docker": {"read_only": True}})

    @python_app(image=image)
    def look():
        import os
        from pathlib import Path

        return os.getuid(), Path("/run/secrets/CNFLOW_TEST_TOKEN").read_text(), os.environ["HOME"]

    assert look().result(120) == (4321, "text", "/tmp")


def test_report_on_an_image_lists_what_is_in_it(build, backend):
    image = build(
        "RUN printf '#!/bin/sh\\necho 3.10.1 CPython\\n' > /usr/local/bin/python3.10",
        "RUN chmod 755 /usr/local/bin/python3.10 && mkdir -p /usr/local/cuda && useradd -M -d /nowhere someone",
        """RUN printf '{"cuda": {"version": "12.4.1"}}' > /usr/local/cuda/version.json""",
        "ENV MODEL=large",
        "USER someone",
        "WORKDIR /srv",
        'ENTRYPOINT ["/bin/echo"]',
        'CMD ["hello"]',
    )
    report = backend.report_on(Image(image, user="someone"))
    assert report.digest.startswith("sha256:")
    assert (report.config.user, report.config.working_dir) == ("someone", "/srv")
    assert (report.config.entrypoint, report.config.command) == (("/bin/echo",), ("hello",))
    assert report.config.environment["MODEL"] == "large"
    pythons = [(python.version, python.path) for python in report.survey.pythons]
    assert pythons[0] == (report.probe.version, report.probe.executable)
    assert ("3.10.1", "/usr/local/bin/python3.10") in pythons
    assert report.survey.packages["pip"]
    assert (report.survey.user, report.survey.can_write_home, report.survey.cuda) == ("someone", False, "12.4.1")
    assert report.survey.shell.endswith("sh")
    found = " ".join(finding.found for finding in report.findings)
    assert "cannot write to its home folder '/nowhere'" in found
    assert "its ENTRYPOINT ['/bin/echo'] does not run" in found


@pytest.mark.usefixtures("template")
def test_bash_app_works_where_the_image_has_a_shell(image_base):
    assert say.with_options(image=image_base)("hello").result(120) == 0
