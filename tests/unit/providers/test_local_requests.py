import sysconfig

import pytest

from cnflow.config import DockerProvider, LocalProvider
from cnflow.errors import BlockRejectedError, ConfigurationError
from cnflow.log_tail import tail
from cnflow.model.block import BlockState, EndCause
from cnflow.model.image import Image
from cnflow.providers._shared.exit_status import status_of_exit
from cnflow.providers._shared.python_path import python_path
from cnflow.providers.local.provider import LocalBackend
from cnflow.providers.local.requests import block_argv
from cnflow.text import describe_exit


def test_command_of_a_block_runs_after_worker_init_in_the_users_wrapper():
    argv = ["python3", "-m", "manager", "a b"]
    assert block_argv(LocalProvider(), argv, 1) == argv
    wrapped = LocalProvider(worker_init="module load x", launcher=lambda line, _, nodes: f"nice -n {nodes} {line}")
    start = ["bash", "-c", "nice -n 2 python3 -m manager 'a b'"]
    assert block_argv(wrapped, argv, 2) == ["bash", "-c", 'module load x\nexec "$@"', "bash", *start]


def test_an_image_is_refused_with_a_provider_to_use_instead():
    with pytest.raises(BlockRejectedError, match=r"cannot run image 'app1:0.1'. Use DockerProvider, or Config\(ignore"):
        LocalBackend(LocalProvider()).prepare(Image("app1:0.1"))


def test_several_nodes_are_refused_when_they_are_written():
    with pytest.raises(ConfigurationError, match=r"(?s)nodes_per_block.*2: a block of DockerProvider has 1 node"):
        DockerProvider(nodes_per_block=2)


def test_workers_find_modules_beside_the_script_before_the_users_own_path():
    assert python_path(["/home/me/work"], "/a:/b") == "/home/me/work:/a:/b"
    assert python_path(["/home/me/work", "/home/me/lib"], "") == "/home/me/work:/home/me/lib"


def test_library_folders_are_not_on_the_python_path():
    libraries = [sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")]
    assert python_path([*libraries, "/home/me/work"], "") == "/home/me/work"


def test_an_interactive_session_has_its_current_folder_on_the_path(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert python_path([""], "") == str(tmp_path)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (3, "exited with code 3"),
        (-15, "was killed by signal 15 (SIGTERM)"),
        (137, "was killed by signal 9 (SIGKILL)"),
        (128, "exited with code 128"),
        (255, "exited with code 255"),
    ],
)
def test_exit_codes_and_signals_are_described(code, words):
    assert describe_exit(code) == words


@pytest.mark.parametrize(
    ("code", "cause"), [(0, None), (1, EndCause.OTHER), (-15, EndCause.USER), (137, EndCause.OTHER)]
)
def test_a_signal_sent_by_hand_is_the_users(code, cause):
    status = status_of_exit(code, None)
    assert (status.cause, status.exit_code) == (cause, code)


def test_the_last_lines_are_quoted(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"".join(b"line %d\n" % n for n in range(5000)) + b"\xff\n")
    assert tail(log, 2) == "    line 4999\n    \N{REPLACEMENT CHARACTER}"
    status = status_of_exit(1, log)
    assert status.state is BlockState.FAILED
    assert status.message.startswith(f"It exited with code 1. The last lines of {log}:\n    line 49")


def test_the_exit_code_of_a_block_that_printed_nothing_is_described(tmp_path):
    assert status_of_exit(1, tmp_path / "none").message == "It exited with code 1."
    assert status_of_exit(137, None, "by hand").message == "It was killed by signal 9 (SIGKILL) (by hand)."
    assert status_of_exit(0, None).state is BlockState.ENDED
