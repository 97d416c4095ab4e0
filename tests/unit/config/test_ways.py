import pytest

from cnflow.config import Config, DialIn, HighThroughputExecutor, Listen, Tunnel, load_config
from cnflow.config.dump import to_toml
from cnflow.errors import ConfigurationError


def test_managers_dial_in_by_default():
    assert HighThroughputExecutor().way == DialIn()


@pytest.mark.parametrize(
    "way",
    [
        DialIn(addresses=["10.0.0.1", "login1"]),
        Listen(ports=(5000, 5009), interface="ib0", folder="/shared"),
        Tunnel(address="127.0.0.1:{port}", command=["ssh", "-N", "-R", "{port}:127.0.0.1:{port}", "node1"]),
    ],
    ids=lambda way: way.kind,
)
def test_way_survives_a_file(way, tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(to_toml(Config(executors=[HighThroughputExecutor(way=way)])))
    assert load_config(file).executors[0].way == way


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ({"kind": "listn"}, "No way is called 'listn'. Did you mean 'listen'"),
        ({"ports": [1, 2]}, r"has no kind. Add one of: dial_in, listen, tunnel"),
        ({"kind": "listen", "port": 3}, "Listen has no option 'port'. Did you mean 'ports'"),
        (Listen, r"must be an object, such as way=Listen\(\), not 'Listen'"),
        ("listen", r"must be an object, such as way=Listen\(\), not 'listen'"),
    ],
    ids=str,
)
def test_mistaken_way_is_refused_in_words(way, words):
    with pytest.raises(ConfigurationError, match=words):
        HighThroughputExecutor(way=way)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Listen(ports=(5009, 5000)), "the first port, 5009, is above the last, 5000"),
        (lambda: Listen(ports=(5000, 5000)), "a manager takes two ports; 5000 alone is not enough"),
        (lambda: Tunnel(address="login1"), "an address is written 'host:port'"),
        (Tunnel, "address: Field required"),
        (lambda: HighThroughputExecutor(way=Listen(), address="10.0.0.1"), "leave out address and worker_port_range"),
        (lambda: HighThroughputExecutor(way=Listen(), worker_port_range=(5, 6)), "leave out address and worker_port"),
        (
            lambda: HighThroughputExecutor(way=DialIn(addresses=["10.0.0.1"]), address="10.0.0.2"),
            "name all addresses in the latter",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_options_that_contradict_each_other_are_refused(make, words):
    with pytest.raises(ConfigurationError, match=words):
        make()


def test_interchange_elsewhere_needs_no_address_of_managers_that_listen():
    command = ["ssh", "login1", "..."]
    assert HighThroughputExecutor(interchange_command=command, way=Listen()).address is None
    assert HighThroughputExecutor(interchange_command=command, way=DialIn(addresses=["login1"])).address is None
    with pytest.raises(ConfigurationError, match="interchange_command needs address"):
        HighThroughputExecutor(interchange_command=command)
