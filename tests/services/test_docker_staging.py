"""Staging of files of tasks in containers."""

import sys
import zipfile

import pytest

import cnflow
from cnflow import Config, File, bash_app, python_app
from cnflow.config import DockerProvider, HighThroughputExecutor
from cnflow.errors import ConfigurationError, StagingError
from cnflow.staging import HTTPInTaskStaging, NoOpFileStaging

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]

OWN_MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture
def load(engine, image_base, python_of, tmp_path):
    """Starts a run in one container of an image whose Python is the driver's."""
    if python_of(image_base) != OWN_MINOR:
        pytest.skip(f"{image_base} has another Python than this one. Run: make base-image, or use its Python")

    def start(access=None):
        executor = HighThroughputExecutor(
            image=image_base, storage_access=access, max_workers=1, provider=DockerProvider(max_blocks=1)
        )
        return cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runs")))

    return start


@bash_app
def write(word, outputs=()):
    return f"echo {word} > {outputs[0]}"


@python_app
def read(file):
    from pathlib import Path

    return Path(file).read_text()


def test_archive_of_the_scripts_folder_is_filled_by_one_task_and_read_by_the_next(load, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with load() as dfk:
        written = write("hello", outputs=[File(f"zip:{tmp_path}/results.zip/x")])
        assert read(written.outputs[0]).result(120) == "hello\n"
        assert zipfile.ZipFile(tmp_path / "results.zip").read("x") == b"hello\n"
        assert not (tmp_path / "staged").exists(), "copies are in the run's folder"
        assert (dfk.run_dir / "staged").exists()


def test_archive_that_would_end_with_the_container_is_refused(load):
    with load(), pytest.raises(ConfigurationError, match=r"/tmp/results.zip/x; it would be lost"):
        write("hello", outputs=[File("zip:/tmp/results.zip/x")])


def test_a_download_in_the_task_is_the_containers_own(load):
    with load([HTTPInTaskStaging(tries=1), NoOpFileStaging()]):
        error = read(File("http://127.0.0.1:9/x")).exception(120)  # nobody listens in there
        assert isinstance(error, StagingError)
        assert "could not be fetched in 1 try" in str(error)


def test_files_of_the_image_are_read_where_they_are_and_nowhere_else(load):
    with load():
        assert "Debian" in read(File("docker:/etc/os-release")).result(120)
        error = read(File("docker:/etc/no/such")).exception(120)
        assert isinstance(error, StagingError)
        assert "has no /etc/no/such; of that path it has /etc" in str(error)
        with pytest.raises(ConfigurationError, match="images are read only"):
            write("hello", outputs=[File("docker:/tmp/x")])
        with pytest.raises(ConfigurationError, match="names no file of the task's own image"):
            read(File("docker://other/x"))


def test_containers_without_shared_folders_move_their_files_in_the_task(image_base, python_of, tmp_path, web, engine):
    if python_of(image_base) != OWN_MINOR:
        pytest.skip(f"{image_base} has another Python than this one. Run: make base-image, or use its Python")
    provider = DockerProvider(max_blocks=1, mount_folders=False, create={"network_mode": "host"})
    executor = HighThroughputExecutor(image=image_base, max_workers=1, provider=provider)
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runs"))):
        assert read(File(web.add("/x", b"data"))).result(120) == "data"
