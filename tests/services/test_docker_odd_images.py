"""Images and settings under which containers start otherwise than usual: runs work, or errors name the cause."""

import os

import pytest

import cnflow
from cnflow import Config, bash_app, python_app
from cnflow.config import DockerProvider, HighThroughputExecutor
from cnflow.errors import BlockError, BlockRejectedError, ConfigurationError, ImageUnusableError, MissingShellError

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]

REMOVE_SHELLS = (
    "import glob, os; [os.unlink(p) for p in glob.glob('/bin/*sh') + glob.glob('/usr/bin/*sh') if os.path.lexists(p)]"
)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Loads a run of one executor and returns the outcome of a call: its value, or its exception."""
    monkeypatch.chdir(tmp_path)

    def outcome(image, app, *args, **options):
        executor = HighThroughputExecutor(image=image, provider=DockerProvider(**options), max_workers=1)
        with cnflow.load(Config(executors=[executor])):
            future = app(*args)
            return future.exception(150) or future.result()

    return outcome


@python_app
def look():
    import getpass
    import os
    import pathlib
    import tempfile

    home = pathlib.Path.home()
    (home / ".cnflow-test").write_text("x")
    with tempfile.TemporaryFile():
        return os.getuid(), getpass.getuser(), str(home)


@bash_app
def line(command):
    return command


@pytest.mark.parametrize(
    "create",
    [
        {},
        {"tmpfs": {"/tmp": ""}, "volumes": ["/.cnflow"]},
    ],
    ids=["alone", "volume"],
)
def test_root_may_be_read_only(run, image_base, create):
    options = {"read_only": True, **create}
    uid, *_ = run(image_base, look, create={**options, "environment": {"HOME": "/nowhere"}})
    assert uid == os.getuid()


def test_command_and_its_files_work_in_a_container_with_a_read_only_root(run, image_base, tmp_path):
    assert run(image_base, line, "echo x > made.txt && true", create={"read_only": True}) == 0
    assert (tmp_path / "made.txt").read_text() == "x\n"


def test_file_system_that_would_hide_the_capsule_is_refused(run, image_base):
    error = run(image_base, look, create={"read_only": True, "tmpfs": {"/.cnflow": ""}})
    assert isinstance(error, ConfigurationError)
    assert "a volume is made there" in str(error)


def test_user_without_a_line_in_passwd_has_a_name_and_a_home(run, image_base):
    uid, name, home = run(image_base, look, user="4321:4321")
    assert (uid, home) == (4321, "/tmp")
    assert name in {"user4321", "4321"}, "Podman adds a line by itself"


def test_files_are_the_scripts_users_though_the_image_has_another(run, build):
    image = build(
        "RUN useradd -m app || adduser -D app",
        "USER app",
        'RUN mkdir -p $(python3 -m site --user-site) && echo "x = 1" > $(python3 -m site --user-site)/of_the_user.py',
    )

    @python_app
    def use():
        import os
        import pathlib

        import of_the_user

        pathlib.Path("made.txt").write_text("x")
        return os.getuid(), of_the_user.x

    assert run(image, use) == (os.getuid(), 1)


def test_unknown_user_is_named(run, image_base):
    error = run(image_base, look, user="nobody-of-this-name")
    assert isinstance(error, BlockRejectedError)
    assert "unable to find user nobody-of-this-name" in str(error)
    assert "no Python" not in str(error)


def test_variable_of_the_image_that_breaks_its_python_is_named(run, build):
    image = build("ENV PYTHONHOME=/wrong")
    error = run(image, look)
    assert isinstance(error, ImageUnusableError)
    assert "does not start with the PYTHONHOME" in str(error)
    assert "DockerProvider(environment={'PYTHONHOME': ''})" in str(error)
    assert isinstance(run(image, look, environment={"PYTHONHOME": ""}), tuple)


@pytest.mark.parametrize("variable", ["PYTHONIOENCODING=none-such", "PYTHONHASHSEED=x", "PYTHONPATH=/shadow"])
def test_variable_of_the_settings_that_breaks_python_is_named(run, image_base, tmp_path, variable):
    name, _, value = variable.partition("=")
    (tmp_path / "socket.py").write_text("raise ImportError('another socket')")
    error = run(image_base, look, environment={name: value}, mounts={str(tmp_path): "/shadow:ro"})
    assert isinstance(error, ImageUnusableError)
    assert f"does not start with the {name}" in str(error)


def test_library_path_that_breaks_python_is_named(run, build):
    image = build(
        'RUN mkdir /wrong && for name in libc.so.6 libm.so.6 libz.so.1; do echo "no library" > /wrong/$name; done',
        "ENV LD_LIBRARY_PATH=/wrong",
    )
    error = run(image, look)
    assert isinstance(error, ImageUnusableError)
    assert "does not start with the LD_LIBRARY_PATH" in str(error)


def test_image_without_python_in_its_path_shows_the_path_and_runs_apps_on_the_carried_one(run, build, caplog):
    uid, *_ = run(build("ENV PATH=/nowhere"), look)
    assert uid == os.getuid()
    assert "has no Python (in its PATH, /nowhere): its apps run on the driver's Python" in caplog.text


@pytest.mark.parametrize("options", [{"memory": "16m"}, {"create": {"mem_limit": "7m"}}, {"memory": "1m"}], ids=str)
def test_memory_limit_that_is_too_small_is_named(run, image_base, options):
    error = run(image_base, look, **options)
    assert isinstance(error, BlockError)
    assert "memory" in str(error).lower()
    assert "no Python" not in str(error)


def test_command_in_an_image_without_a_shell_says_so(run, build):
    image = build(f'RUN ["python3", "-c", "{REMOVE_SHELLS}"]')
    error = run(image, line, "true && true")
    assert isinstance(error, MissingShellError)
    assert "Install bash in the image" in str(error)
    assert run(image, line, "ls /") == 0, "a plain command needs none"
