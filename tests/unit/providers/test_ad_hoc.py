"""Hosts of a list: which one gets the next block, what a host runs, and settings that contradict each other."""

import subprocess
from dataclasses import replace
from typing import ClassVar, Literal

import pytest

from cnflow.channels import LocalChannel
from cnflow.config.ad_hoc import AdHocProvider
from cnflow.config.channels import ChannelSettings
from cnflow.errors import ChannelError, ConfigurationError
from cnflow.ids import BlockId
from cnflow.interfaces.channel import Completed
from cnflow.model.block import BlockRequest, BlockState, EndCause, Refusal
from cnflow.model.image import NO_IMAGE
from cnflow.model.manager_settings import ManagerSettings
from cnflow.model.node_command import NodeCommand
from cnflow.providers.ad_hoc import scripts
from cnflow.providers.ad_hoc.hosts import Hosts
from cnflow.providers.ad_hoc.provider import AdHocBackend, _Native, _status_of


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def hosts(clock):
    return Hosts(["a", "b"], 30.0, clock)


def test_each_host_gets_one_block_in_the_order_of_the_list(hosts):
    assert [hosts.take("0"), hosts.take("1"), hosts.take("2")] == ["a", "b", None]
    hosts.release("a", "1")
    assert hosts.take("2") is None, "only the block that has a host frees it"
    hosts.release("a", "0")
    assert hosts.take("2") == "a"


def test_host_that_failed_is_left_alone_twice_as_long_each_time(hosts, clock):
    hosts.on_failed("a", "no route")
    assert hosts.take("0") == "b"
    clock.now = 29.0
    assert hosts.take("1") is None
    assert hosts.reasons() == "a is left alone for another 1 s: no route\nb has a block"
    clock.now = 30.0
    assert hosts.take("1") == "a"
    hosts.release("a", "1")
    hosts.on_failed("a", "no route")
    clock.now = 89.0
    assert hosts.take("1") is None
    clock.now = 90.0
    assert hosts.take("1") == "a"


def test_host_that_never_failed_is_preferred_to_one_that_did(hosts, clock):
    hosts.on_failed("a", "no route")
    clock.now = 30.0
    assert hosts.take("0") == "b"
    hosts.release("b", "0")
    hosts.on_worked("a")
    assert hosts.take("0") == "a"


def test_all_hosts_are_bad_only_while_none_has_a_block(hosts):
    hosts.on_failed("a", "no route")
    assert not hosts.are_all_bad
    hosts.on_failed("b", "disk full")
    assert hosts.are_all_bad
    hosts.hold("b", "0")
    assert not hosts.are_all_bad


class SilentHost:
    """A host whose answer to the start of a block is lost; `lives` are the names of the blocks that did start."""

    name, is_local, lives = "n1", True, ""

    def __init__(self, settings):
        pass

    def run(self, argv, *, stdin=b"", timeout=None):
        script = " ".join(argv)
        if scripts.START in script:
            raise ChannelError("n1 ended the connection.")
        if scripts.FIND in script:
            return Completed(0, self.lives, "")
        return Completed(0, "folder /site\nhome /home/ada\nuser ada\nhost n1\nmachine x86_64\n", "")

    def put(self, content, path, mode=0o600):
        pass

    def close(self):
        pass


class SilentChannel(ChannelSettings):
    backend: ClassVar[type] = SilentHost
    kind: Literal["silent"] = "silent"


@pytest.mark.parametrize("started", [False, True])
def test_host_that_did_not_answer_is_free_again_once_it_shows_that_nothing_runs(monkeypatch, tmp_path, started):
    monkeypatch.setattr(SilentHost, "lives", "cnflow-run-htex-0\n" if started else "")
    provider = AdHocBackend(AdHocProvider(hosts=[SilentChannel()]))
    command = NodeCommand(("true",))
    manager = ManagerSettings(hosts=(), endpoint="", executor="htex", block="0")
    first = BlockRequest("run", "htex", BlockId("0"), NO_IMAGE, manager, tmp_path / "0.log", command=command)
    second = replace(first, block=BlockId("1"))
    assert provider.submit([first])["0"].kind is Refusal.UNKNOWN
    assert provider.submit([second])["1"].kind is Refusal.BUSY
    assert provider.find("run", "htex") == ({"0": "n1:run/cnflow-run-htex-0"} if started else {})
    assert provider.submit([second])["1"].kind is (Refusal.BUSY if started else Refusal.UNKNOWN)


def test_native_id_holds_host_run_and_name():
    native = _Native("ada@n1", "r1", "cnflow-r1-htex-0")
    assert _Native.of(native.id) == native
    assert native.folder == "runs/r1/ada-n1/cnflow-r1-htex-0"


@pytest.mark.parametrize(
    ("words", "state", "cause"),
    [
        ("running", BlockState.RUNNING, None),
        ("exit 0", BlockState.ENDED, None),
        ("exit 3", BlockState.FAILED, EndCause.OTHER),
        ("died", BlockState.FAILED, EndCause.NODE),
        ("gone", BlockState.GONE, None),
    ],
)
def test_states_of_a_host_are_those_of_blocks(words, state, cause):
    status = _status_of(words)
    assert (status.state, status.cause) == (state, cause)


def test_names_with_words_are_read_and_noise_of_a_login_is_not():
    assert scripts.states_in("motd\ncnflow-0 running\ncnflow-1 exit 3\n") == {
        "cnflow-0": "running",
        "cnflow-1": "exit 3",
    }


def test_script_of_a_block_runs_after_worker_init_in_one_shell():
    argv = ["sh", "-c", 'echo "$A:$B:$1"', "sh", "it's\none"]
    text = scripts.run_script(argv, {"A": "a 'quoted'"}, "B=$A$A; export B")
    shown = subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=True).stdout
    assert shown == "a 'quoted':a 'quoted'a 'quoted':it's\none\n"
    assert scripts.run_script(["a", "b c"], {}, " ") == "exec a 'b c'\n"


def test_there_are_at_most_as_many_blocks_as_hosts():
    assert AdHocProvider(hosts=[LocalChannel()]).max_blocks == 1
    with pytest.raises(ConfigurationError, match="max_blocks=2 is more than the number of hosts, 1"):
        AdHocProvider(hosts=[LocalChannel()], max_blocks=2)
    with pytest.raises(ConfigurationError, match="is listed twice"):
        AdHocProvider(hosts=[LocalChannel(), LocalChannel()])
