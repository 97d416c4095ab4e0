"""The channel over ssh, with a real sshd, and with what users' shells and profiles do to commands."""

import getpass
import os
import signal
import socket
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cnflow.capsule import CARRIED_PYTHON, carrying_kind
from cnflow.config.registry import backend_of
from cnflow.errors import ChannelError
from cnflow.sites.folder import SiteFolder
from cnflow.testing.contracts.channel import ChannelContract
from tests.services.sshd_server import Sshd

pytestmark = [pytest.mark.sshd, pytest.mark.timeout(180)]


@pytest.fixture
def sshd(tmp_path):
    """Starts sshds: ``sshd(force_command=..., settings=...)``."""
    servers = []

    def start(**options):
        servers.append(Sshd(tmp_path / f"sshd{len(servers)}", **options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def channel_to():
    """Makes a channel with settings; it is closed at the end."""
    made = []

    def make(settings):
        made.append(backend_of(settings)(settings))
        return made[-1]

    yield make
    for channel in made:
        channel.close()


class OverSsh(ChannelContract):
    force_command = ""

    @pytest.fixture
    def channel(self, sshd, channel_to):
        return channel_to(sshd(force_command=self.force_command).settings())

    @pytest.fixture
    def folder(self, tmp_path):
        return str(tmp_path / "it's a folder")


class TestSsh(OverSsh):
    pass


class TestTcsh(OverSsh):
    force_command = 'exec tcsh -c "$SSH_ORIGINAL_COMMAND"'


class TestBsdCsh(OverSsh):
    force_command = 'exec bsd-csh -c "$SSH_ORIGINAL_COMMAND"'


class TestFish(OverSsh):
    force_command = 'exec fish -c "$SSH_ORIGINAL_COMMAND"'


class TestNoisyProfile(OverSsh):
    force_command = 'echo "Welcome to site"; printf "no end" >&2; exec sh -c "$SSH_ORIGINAL_COMMAND"'


def test_all_channels_of_equal_settings_share_one_login(sshd, channel_to):
    server = sshd()
    channels = [channel_to(server.settings()) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        assert [done.stdout for done in pool.map(lambda one: one.run(["echo", "1"]), channels)] == ["1\n"] * 3
    channels[0].close()
    assert channels[1].run(["echo", "2"]).stdout == "2\n"
    assert server.logins() == 1


def test_connection_that_breaks_is_made_again_by_the_next_command(sshd, channel_to, until):
    server = sshd()
    channel = channel_to(server.settings())
    channel.open()
    server.cut()
    assert channel.run(["echo", "again"]).stdout == "again\n"
    assert server.logins() == 2


def test_command_during_which_the_connection_breaks_is_not_run_twice(sshd, channel_to, tmp_path, until):
    server = sshd()
    channel = channel_to(server.settings())
    runs = tmp_path / "runs"
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(channel.run, ["sh", "-c", f"echo run >> {runs}; sleep 50"])
        until(runs.exists)
        server.cut()
        error = done.exception(60)
    assert isinstance(error, ChannelError)
    assert "broke while sh ran; whether it has run is not known" in str(error)
    assert runs.read_text() == "run\n"
    assert channel.run(["true"]).exit_code == 0


def test_site_that_is_down_is_an_error_and_works_again_once_it_is_up(sshd, channel_to, until):
    server = sshd()
    channel = channel_to(server.settings())
    channel.open()
    server.stop()
    with pytest.raises(ChannelError, match=r"nothing listens on the port"):
        channel.run(["true"])
    with pytest.raises(ChannelError, match=r"Connection refused"):
        channel.run(["true"])
    server.start()

    def works():
        try:
            return channel.run(["echo", "up"]).stdout == "up\n"
        except ChannelError:
            return False

    until(works)


def test_connection_ends_with_its_driver_however_that_ends(sshd, tmp_path, until):
    server = sshd()
    script = (
        "import sys, time; from cnflow.channels import SSHChannel; from cnflow.channels.ssh import SSHBackend\n"
        f"channel = SSHBackend(SSHChannel(**{server.settings().model_dump(exclude={'kind'})!r})); channel.open()\n"
        "print(channel._shared.connection.socket, flush=True); time.sleep(99)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as driver:
        socket = Path(driver.stdout.readline().strip())
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        assert len(server.connections()) == 1
        driver.kill()
    until(lambda: not server.connections())
    until(lambda: not socket.exists())


def test_changed_host_key_is_an_error_that_says_how_to_check_it(sshd, channel_to):
    server = sshd()
    server.write_known_hosts("user")
    with pytest.raises(ChannelError) as error:
        channel_to(server.settings()).open()
    assert "is another one than ~/.ssh/known_hosts has" in str(error.value)
    assert f"ssh-keygen -R '[127.0.0.1]:{server.port}'" in str(error.value)
    assert "SHA256:" in str(error.value), "the fingerprint"


def test_unknown_host_key_is_an_error_that_says_to_log_in_by_hand(sshd, channel_to):
    server = sshd()
    (server.folder / "known").write_text("")
    with pytest.raises(ChannelError, match=r"is not known here.*Log in once by hand.*ssh .* -p \d+ "):
        channel_to(server.settings()).open()


def test_refused_login_is_an_error_that_names_the_next_step_and_is_not_repeated_at_once(sshd, channel_to):
    server = sshd()
    channel = channel_to(server.settings(key_file=str(server.folder / "host")))
    for _ in range(3):
        with pytest.raises(ChannelError, match=r"has refused the login\. Add the key to the agent by ssh-add"):
            channel.run(["true"])
    assert (server.folder / "log").read_text().count("Connection closed by authenticating") <= 1


def test_private_key_that_others_can_read_is_named(sshd, channel_to):
    server = sshd()
    (server.folder / "user").chmod(0o644)
    with pytest.raises(ChannelError, match=r"private key for .*, which others can read\. Make it private"):
        channel_to(server.settings()).open()


def test_host_without_an_address_and_one_that_is_no_ssh_are_explained(sshd, channel_to):
    server = sshd()
    gone = server.settings().model_copy(update={"host": "no-such-host.invalid"})
    with pytest.raises(ChannelError, match="has no address here"):
        channel_to(gone).open()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mute = server.settings(connect_timeout=2).model_copy(update={"port": silent.getsockname()[1]})
        with pytest.raises(ChannelError, match=r"does not answer|not complete in 2 s"):
            channel_to(mute).open()


def test_wrong_option_and_missing_program_are_explained(sshd, channel_to):
    server = sshd()
    wrong = server.settings(options=[*server.options(), "-o", "NoSuchOption=1"])
    with pytest.raises(ChannelError, match=r"refuses its options.*\n[^$]*nosuchoption"):
        channel_to(wrong).open()
    with pytest.raises(ChannelError, match="no-ssh cannot be started: No such file or directory"):
        channel_to(server.settings(program="no-ssh")).open()


def test_profile_that_exits_is_explained_with_what_it_prints(sshd, channel_to):
    server = sshd(force_command="echo 'Maintenance until noon'; exit 3")
    with pytest.raises(ChannelError) as error:
        channel_to(server.settings()).run(["true"])
    assert "ended with exit code 3 before a command ran. A profile that exits" in str(error.value)
    assert "Maintenance until noon" in str(error.value)


def test_profile_that_hangs_is_an_error_in_time(sshd, channel_to):
    server = sshd(force_command="echo 'Choose a project:'; exec sleep 600")
    with pytest.raises(ChannelError, match=r"not complete in 1 s.*\n[^$]*Choose a project"):
        channel_to(server.settings(connect_timeout=1)).run(["true"])


def test_site_with_few_sessions_is_waited_for_and_one_without_is_explained(sshd, channel_to):
    server = sshd(settings="UsePAM no\nMaxSessions 2\n")
    channel = channel_to(server.settings())
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda n: channel.run(["sh", "-c", f"sleep 0.2; echo {n}"]).stdout, range(4)))
    assert done == ["0\n", "1\n", "2\n", "3\n"]
    assert server.logins() == 1


def test_variables_and_setup_come_before_each_command_and_setup_is_not_heard(sshd, channel_to):
    server = sshd()
    setup = "echo loading; cat; PATH=/opt/slurm/bin:$PATH; export PATH"
    channel = channel_to(server.settings(environment={"GREETING": "it's me"}, setup=setup))
    done = channel.run(["sh", "-c", 'cat; echo "$GREETING ${PATH%%:*}"'], stdin=b"in ")
    assert done == (0, "in it's me /opt/slurm/bin\n", "")
    process = channel.start(["sh", "-c", 'echo "$GREETING ${PATH%%:*}"'])
    assert process.communicate()[0] == b"it's me /opt/slurm/bin\n"


def test_connection_of_the_users_own_is_used_and_not_ended(sshd, channel_to, tmp_path):
    server = sshd()
    control = str(tmp_path / "own")
    options = server.options()
    own = ["ssh", *options, "-i", server.folder / "user", "-p", str(server.port), "-M", "-N", "-f", "-S", control]
    subprocess.run(
        [*own, "127.0.0.1"], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    channel = channel_to(server.settings(key_file="/no/key", control_path=control))
    assert channel.run(["echo", "1"]).stdout == "1\n"
    channel.close()
    assert server.logins() == 1
    subprocess.run(["ssh", *options, "-S", control, "-O", "exit", "127.0.0.1"], check=True, capture_output=True)


def test_jump_host_is_gone_through(sshd, channel_to, tmp_path):
    gateway, login = sshd(), sshd()
    config = tmp_path / "config"
    words = [f"IdentityFile {gateway.folder}/user", "IdentitiesOnly yes", "StrictHostKeyChecking accept-new"]
    words += [f"IdentityFile {login.folder}/user", f"UserKnownHostsFile {tmp_path}/known", f"User {getpass.getuser()}"]
    config.write_text("Host *\n" + "".join(f"  {word}\n" for word in words))
    jump = f"127.0.0.1:{gateway.port}"
    settings = login.settings(options=["-F", str(config)], jump=jump)
    channel = channel_to(settings)
    assert channel.run(["echo", "far"]).stdout == "far\n"
    assert (gateway.logins(), login.logins()) == (1, 1)
    process = channel.start(["echo", "far"])
    assert process.communicate()[0] == b"far\n"
    assert login.logins() == 1


def test_site_over_ssh_has_facts_files_and_a_capsule_that_runs(sshd, channel_to, tmp_path):
    server = sshd(force_command='echo Welcome; exec tcsh -c "$SSH_ORIGINAL_COMMAND"')
    site = SiteFolder(channel_to(server.settings()), str(tmp_path / "a site"))
    facts = site.facts(["sh"])
    assert (facts.folder, facts.machine) == (str(tmp_path / "a site"), os.uname().machine)
    node = site.bare_node(sys.executable)
    done = site.channel.run(
        [node.python, "-I", "-c", f"import sys; sys.path[:0] = [{node.root!r}]; import zmq; print(1)"]
    )
    assert done.stdout == "1\n", done.stderr
    assert Path(site.put(b"key", "runs/1/settings")).read_bytes() == b"key"
    carried = site.capsule(carrying_kind())
    assert site.channel.run([f"{carried}/{CARRIED_PYTHON}", "-I", "-c", "print(2)"]).stdout == "2\n"


def test_channel_that_was_closed_connects_anew(sshd, channel_to, until):
    server = sshd()
    channel = channel_to(server.settings())
    assert channel.run(["echo", "1"]).stdout == "1\n"
    channel.close()
    until(lambda: not server.connections())
    assert channel.run(["echo", "2"]).stdout == "2\n"
    assert server.logins() == 2


def test_login_that_does_not_end_is_given_up_when_its_channel_is_closed(sshd, channel_to, until):
    server = sshd(force_command="sleep 1000")
    channel = channel_to(server.settings(connect_timeout=60))
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(channel.open)
        until(server.logins)
        channel.close()
        with pytest.raises(ChannelError, match="was closed meanwhile"):
            opening.result(30)


def test_connection_whose_ssh_hangs_is_replaced(sshd, channel_to):
    server = sshd()
    channel = channel_to(server.settings())
    channel.open()
    stopped = channel._shared.connection._login.pid
    os.kill(stopped, signal.SIGSTOP)
    with pytest.raises(ChannelError, match="did not end within 1 s"):
        channel.run(["echo", "1"], timeout=1)
    assert channel.run(["echo", "2"]).stdout == "2\n"
    assert server.logins() == 2


STRAY = """\
import sys, threading
from cnflow.channels import SSHChannel
from cnflow.channels.ssh import SSHBackend

channel = SSHBackend(SSHChannel.model_validate_json(sys.argv[1]))
channel.close()
threading.Thread(target=channel.run, args=(["sleep", "1000"],), daemon=True).start()
while not channel._shared.connection._was_connected:
    pass
print(channel._shared.connection.socket)
"""


def test_thread_that_still_uses_a_channel_at_the_end_leaves_no_connection_and_no_file(sshd, until):
    server = sshd()
    argv = [sys.executable, "-c", STRAY, server.settings().model_dump_json()]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60)
    assert not Path(done.stdout.strip()).parent.exists()
    until(lambda: not server.connections())
