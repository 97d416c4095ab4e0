"""rsync between nodes and a host, with a real sshd: the staging's contract, and what goes wrong."""

import contextlib
import getpass
import hashlib
import os
import re
import subprocess
import threading
import time
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, File, bash_app, python_app
from cnflow.config import HighThroughputExecutor, ThreadPoolExecutor
from cnflow.errors import DependencyError, StagingError
from cnflow.staging import RSyncStaging
from cnflow.testing.contracts.staging import StagingContract, Target
from tests.services.sshd_server import Sshd
from tests.waiting import wait_until

pytestmark = [pytest.mark.rsync, pytest.mark.timeout(120)]

ODD = ("new\nline", "*[ab]?", "back\\slash", "#comment", ";comment", "~", "a:b")


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    server = Sshd(tmp_path_factory.mktemp("rsync") / "sshd")
    yield server
    server.stop()


@pytest.fixture
def to(host):
    """Make a staging for the host."""

    def make(**options):
        key = " ".join((host.folder / "host.pub").read_text().split()[:2])
        settings = {
            "port": host.port,
            "key_file": str(host.folder / "user"),
            "host_key": key,
            "ssh_options": ["-F", "none"],
            "tries": 1,
            **options,
        }
        return RSyncStaging(f"{getpass.getuser()}@127.0.0.1", **settings)

    return make


class TestRSync(StagingContract):
    names = ("naïve-мир-世界.txt", "-dash", 'it\'s "$(id)" & %s; x', "x" * 150, *ODD)

    @pytest.fixture
    def staging(self, to):
        return to()

    @pytest.fixture
    def store(self, tmp_path):
        def put(folder, name, content):
            path = tmp_path / "host" / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            return File(path)

        return put

    @pytest.fixture
    def missing(self, tmp_path):
        return File(tmp_path / "nowhere")

    @pytest.fixture
    def target(self, tmp_path):
        def place(name):
            path = tmp_path / "out [of] host*" / "sub" / name
            return Target(File(path), lambda: path.read_bytes() if path.exists() else None)

        return place

    def test_file_is_read_by_many_tasks(self, store, read):
        """Fewer than in the contract: each is a login."""
        file = store("a", "x.txt", b"shared")
        assert [task.result(60) for task in [read(file) for _ in range(5)]] == [[b"shared"]] * 5


@pytest.fixture
def run(tmp_path):
    """Start a run with these stagings, on threads."""
    with contextlib.ExitStack() as stack:

        def start(*stagings, cls=ThreadPoolExecutor):
            config = Config(executors=[cls(storage_access=list(stagings))], run_dir=str(tmp_path / "runs"))
            return stack.enter_context(cnflow.load(config))

        yield start


@python_app
def upper(file, outputs=()):
    from pathlib import Path

    Path(outputs[0]).write_text(Path(file).read_text().upper())
    return str(file)


@pytest.mark.parametrize("way", ["separate", "driver"])
def test_file_comes_and_goes_by_another_way_than_the_task(way, to, run, tmp_path):
    run(to(way=way))
    source, target = tmp_path / "in put", tmp_path / "made" / "out"
    source.write_text("hello")
    task = upper(File(source), outputs=[File(target)])
    assert task.outputs[0].result(60).path == str(target)
    assert target.read_text() == "HELLO"
    assert task.result() != str(source)


def test_worker_moves_files_of_a_command_and_leaves_no_copy(to, run, tmp_path):
    dfk = run(to(), cls=HighThroughputExecutor)

    @bash_app
    def sort(file, outputs=(), stdout=None):
        from shlex import quote

        return f"sort {quote(str(file))} > {quote(str(outputs[0]))}; echo done"

    (tmp_path / "it's").write_text("b\na\n")
    task = sort(File(tmp_path / "it's"), outputs=[File(tmp_path / 'a "b"')])
    task.outputs[0].result(60)
    assert (tmp_path / 'a "b"').read_text() == "a\nb\n"
    assert [path for path in (dfk.run_dir / "staged").rglob("*") if path.is_file()] == []


@python_app
def read_all(*files, outputs=()):
    from pathlib import Path

    contents = [Path(file).read_text() for file in files]
    for output, content in zip(outputs, contents, strict=False):
        Path(output).write_text(content)
    return contents


def test_files_of_one_task_take_one_login_for_each_direction(host, to, run, tmp_path):
    run(to())
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    files = [tmp_path / "link" / f"in {n}" for n in range(6)]
    for file in files:
        file.write_text(file.name)
    made = [tmp_path / "out [of] x" / name for name in ("a", "b*", "c\nd")]
    before = host.logins()
    task = read_all(*map(File, [*files, files[0]]), outputs=[File(path) for path in made])
    assert task.result(60) == [file.name for file in [*files, files[0]]]
    assert [path.read_text() for path in made] == ["in 0", "in 1", "in 2"]
    assert host.logins() == before + 2


def test_missing_one_of_several_files_is_the_one_that_is_named(to, run, tmp_path):
    run(to())
    (tmp_path / "there").write_text("x")
    error = read_all(File(tmp_path / "there"), File(tmp_path / "not there"), File(tmp_path / "nor there")).exception(60)
    assert isinstance(error, StagingError)
    assert str(error).startswith(repr(str(tmp_path / "not there")))
    assert (error.step, error.url) == ("stage in", str(tmp_path / "not there"))


def failure(task):
    error = task.exception(60)
    root = error.root_cause if isinstance(error, DependencyError) else error
    assert isinstance(root, StagingError)
    return str(root)


def read(file):
    return Path(file).read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"host_key": None, "known_hosts": "/dev/null"}, "does not know the host key of .*host_key='ssh-ed25519"),
        ({"host_key": f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{'A' * 43}"}, "the host key of .* another"),
        ({"key_file": "/nowhere/key"}, "no private key /nowhere/key.*path on the node"),
        ({"key_file": None, "agent": "none"}, "has refused the login"),
        ({"rsync": "no-such-rsync"}, "no 'no-such-rsync' on this node.*way='driver'"),
        ({"port": 9}, "nothing listens on the ssh port"),
    ],
    ids=["unknown host key", "changed host key", "no key", "refused login", "no rsync", "no sshd"],
)
def test_connection_that_fails_says_why(options, said, to, run, tmp_path):
    run(to(**options))
    (tmp_path / "x").write_text("x")
    text = failure(python_app(read)(File(tmp_path / "x")))
    assert re.search(said, text), text
    assert f"{str(tmp_path / 'x')!r} on " in text


def test_folder_in_the_place_of_a_file_is_refused(to, run, tmp_path):
    run(to())
    (tmp_path / "folder").mkdir()
    assert "it is a folder. Write File(..., directory=True)" in failure(python_app(read)(File(tmp_path / "folder")))


def test_agent_of_the_node_has_the_key(host, to, run, tmp_path):
    socket = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    try:
        wait_until(socket.exists, period=0.02)
        environment = {**os.environ, "SSH_AUTH_SOCK": str(socket)}
        subprocess.run(["ssh-add", "-q", host.folder / "user"], check=True, env=environment)
        run(to(key_file=None, agent=str(socket)))
        (tmp_path / "x").write_text("by the agent")
        assert python_app(read)(File(tmp_path / "x")).result(60) == "by the agent"
    finally:
        agent.terminate()
        agent.wait()


def test_content_is_compared_with_what_the_user_says(to, run, tmp_path):
    run(to())
    (tmp_path / "x").write_bytes(b"abc")
    right = hashlib.sha256(b"abc").hexdigest()
    assert python_app(read)(File(tmp_path / "x", size=3, sha256=right)).result(60) == "abc"
    assert "it has 3 bytes, and its File says 4" in failure(python_app(read)(File(tmp_path / "x", size=4)))
    assert f"its SHA-256 is {right}" in failure(python_app(read)(File(tmp_path / "x", sha256="0" * 64)))


def test_folder_comes_and_goes_with_its_links_and_modes(to, run, tmp_path):
    run(to())
    source, target = tmp_path / "in" / "tree", tmp_path / "out" / "made"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "tool").write_text("#!/bin/sh")
    (source / "sub" / "tool").chmod(0o750)
    (source / "link").symlink_to("sub/tool")

    @python_app
    def copy(folder, outputs=()):
        import shutil

        shutil.copytree(folder, outputs[0], symlinks=True)

    copy(File(source, directory=True), outputs=[File(target, directory=True)]).outputs[0].result(60)
    assert (target / "link").readlink() == Path("sub/tool")
    assert (target / "sub" / "tool").stat().st_mode & 0o777 == 0o750


def test_output_that_the_task_has_not_made_is_named(to, run, tmp_path):
    run(to())

    @python_app
    def forget(outputs=()):
        pass

    error = forget(outputs=[File(tmp_path / "never")]).exception(60)
    assert str(tmp_path / "never") in str(error)


def test_transfer_goes_on_after_its_connection_was_cut(host, to, tmp_path):
    """The second try sends the rest: rsync compares digests of what came, and the content is whole."""
    source = tmp_path / "large"
    source.write_bytes(os.urandom(24 * 1024 * 1024))
    staging = to(tries=3, pause=0.1, ssh_options=["-F", "none"])
    mover = staging.mover._replace(rsync=str(slow_rsync(tmp_path)))
    file = File(source)
    file.local_path = str(tmp_path / "copy")

    def cut():
        part = tmp_path / "copy.rsync"
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if sum(path.stat().st_size for path in part.rglob("*") if path.is_file()) > 2**20:
                host.cut()
                return
            time.sleep(0.02)

    thread = threading.Thread(target=cut)
    logins = host.logins()
    thread.start()
    mover.bring(file)
    thread.join()
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()
    assert host.logins() == logins + 2
    assert not (tmp_path / "copy.rsync").exists()


def slow_rsync(folder):
    """rsync that takes seconds for a file the first time, so that a test can cut its connection."""
    script = folder / "rsync"
    script.write_text(
        f'#!/bin/sh\nif [ -e "{folder}/once" ]; then exec rsync "$@"; fi\n: > "{folder}/once"\n'
        'exec rsync --bwlimit=4m "$@"\n'
    )
    script.chmod(0o755)
    return script


@pytest.mark.root
@pytest.mark.parametrize("side", ["node", "host"])
def test_full_disk_is_named(side, to, tmp_path):
    full = tmp_path / "full"
    full.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", full], check=True)
    try:
        (tmp_path / "large").write_bytes(os.urandom(200_000))
        file = File(tmp_path / "large" if side == "node" else full / "large")
        file.local_path = str(full / "copy" if side == "node" else tmp_path / "large")
        with pytest.raises(StagingError, match="is full"):
            (to(tries=2, pause=0).mover.bring if side == "node" else to().mover.send)(file)
        assert not (full / "large").exists() or side == "node"
        assert not (full / "copy").exists()
    finally:
        subprocess.run(["umount", "--lazy", full], check=True)


def test_file_that_the_login_may_not_read_is_named(to, tmp_path):
    """The host's own root reads everything: a name that is no folder stands for the rest of such errors."""
    (tmp_path / "x").write_text("x")
    file = File(tmp_path / "x" / "y")
    file.local_path = str(tmp_path / "copy")
    with pytest.raises(StagingError, match="/x/y"):
        to().mover.bring(file)
