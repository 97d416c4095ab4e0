from types import SimpleNamespace

import pytest

from cnflow.config import DialIn, HighThroughputExecutor, Listen, Tunnel
from cnflow.errors import ConfigurationError
from cnflow.executors.high_throughput.live_way import LiveWay
from cnflow.executors.high_throughput.managers import ConnectedManagers
from cnflow.ids import BlockId, ManagerId
from cnflow.wire.dial_messages import DialFailed

BLOCK = BlockId("0")


@pytest.fixture
def make(tmp_path):
    made = []

    def build(way):
        client, managers = SimpleNamespace(order=print), ConnectedManagers(lambda _: False)
        live = LiveWay(HighThroughputExecutor(way=way), tmp_path, client, managers)
        made.append(live)
        return live

    yield build
    for live in made:
        live.close()


def test_managers_that_dial_in_need_nothing_and_explain_nothing(make):
    live = make(DialIn())
    live.use_folder("")
    live.use_port(5)
    live.on_admitted()
    live.on_block_gone(BLOCK)
    assert live.explain is None


def test_manager_that_cannot_be_reached_is_explained_with_advice(make, tmp_path):
    live = make(Listen())
    live.use_folder(str(tmp_path / "addresses"))
    live.on_dial_failed(DialFailed(ManagerId(b"m"), BLOCK, "no connection to 10.0.0.1:5"))
    assert live.explain(BLOCK) == (
        "Its managers listen: no connection to 10.0.0.1:5. If a firewall is in between, set Listen(ports=...) to ports "
        "that it lets through"
    )


def test_folder_that_cannot_be_used_is_named(make, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"Set Listen\(folder=...\) of executor 'htex' to a folder that"):
        make(Listen()).use_folder(str(tmp_path / "file" / "addresses"))


def test_end_of_a_tunnel_is_part_of_the_explanation(make, until):
    live = make(Tunnel(address="127.0.0.1:{port}", command=["sh", "-c", "exit 7"]))
    assert live.explain(BLOCK) == "Its managers try the near end of a tunnel, 127.0.0.1:{port}. See that it leads here"
    live.use_port(5)
    until(lambda: "Its command exited with code 7; see tunnel.log." in live.explain(BLOCK))
