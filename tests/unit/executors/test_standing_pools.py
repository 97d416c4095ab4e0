"""Executors of standing pools: which pool each uses, and what leads apps there."""

import os
import stat

import msgspec
import pytest

from cnflow.config import ExistingPool, HighThroughputExecutor, LocalProvider
from cnflow.errors import BlockError, BlockRejectedError, ConfigurationError, ImageNotFoundError
from cnflow.executors.high_throughput.standing_pools import bind_to_pool
from cnflow.model.image import NO_IMAGE, Image
from cnflow.model.pool_files import ClientKey, PoolAddress, PoolDirectory
from cnflow.providers.existing_pool.client import pools_at_port, read_access
from cnflow.providers.existing_pool.provider import ExistingPoolBackend

TRAIN = PoolAddress(name="train", image="train:1", host="10.0.0.9", clients_port=5002, server_key="t" * 40)
PREDICT = PoolAddress(name="predict", image="predict:1", host="10.0.0.9", clients_port=5003, server_key="p" * 40)
BARE = PoolAddress(name="main", clients_port=5004, server_key="b" * 40)


@pytest.fixture
def make_key(tmp_path):
    def make(*pools):
        file = tmp_path / "ann.json"
        key = ClientKey(name="ann", public="u" * 40, secret="s" * 40, server_key="t" * 40, pools=pools)
        file.write_bytes(key.to_json())
        return str(file)

    return make


@pytest.fixture
def ssh(tmp_path, monkeypatch):
    """A program ``ssh`` that runs commands here, in a home folder of its own, and notes its arguments."""
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$@" >>{tmp_path}/calls\nfor last; do :; done\ncd {tmp_path} && eval "$last"\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def executor(key, address="tcp://pool.lab:5002", image="", **options):
    return HighThroughputExecutor(label="shared", provider=ExistingPool(address, key=key, **options), image=image)


def test_executor_without_image_uses_the_only_pool(make_key):
    bound = bind_to_pool(executor(make_key(TRAIN)))
    assert bound.settings.image == "train:1"
    assert bound.settings.provider.pool == "train"
    assert bound.images == {"train:1"}


def test_executor_without_image_is_a_template_where_there_are_several_pools(make_key, ssh):
    (ssh / "pool.json").write_bytes(PoolDirectory(pools=(TRAIN, PREDICT)).to_json())
    bound = bind_to_pool(executor(make_key(), f"ssh://login{ssh}"))
    assert bound.settings.image == NO_IMAGE
    assert bound.settings.needs_image
    assert bound.images == {"train:1", "predict:1"}


def test_executor_without_image_uses_the_pool_without_one(make_key, ssh):
    (ssh / "pool.json").write_bytes(PoolDirectory(pools=(TRAIN, BARE)).to_json())
    bound = bind_to_pool(executor(make_key(), f"ssh://login{ssh}"))
    assert bound.settings.provider.pool == "main"
    assert not bound.settings.needs_image


def test_image_without_a_pool_fails_when_the_configuration_is_loaded(make_key):
    with pytest.raises(ConfigurationError, match=r"executor 'shared': No pool of the server .* runs image 'x'"):
        bind_to_pool(executor(make_key(TRAIN), image="x"))


def test_other_executor_is_left_as_it_is():
    settings = HighThroughputExecutor(provider=LocalProvider())
    assert bind_to_pool(settings) == (settings, None)


def test_way_to_a_port_is_tcp(make_key):
    request = ExistingPoolBackend(ExistingPool("tcp://pool.lab:5002", key=make_key(TRAIN))).access(Image("train:1"))
    assert request.endpoint == "tcp://pool.lab:5002"
    assert (request.server_key, request.client_public, request.client_secret) == ("t" * 40, "u" * 40, "s" * 40)
    assert request.pipe == ()


def test_pools_of_a_server_are_read_and_reached_through_ssh(make_key, ssh):
    (ssh / "my pool").mkdir()
    (ssh / "my pool" / "pool.json").write_bytes(PoolDirectory(pools=(TRAIN, PREDICT)).to_json())
    settings = ExistingPool("ssh://ada@login:2222/~/my%20pool", key=make_key(), ssh_options=["-J", "gate"])
    request = ExistingPoolBackend(settings).access(Image("predict:1"))
    assert request.pipe == (
        *("ssh", "-J", "gate", "-T", "-o", "BatchMode=yes", "-o", "ServerAliveInterval=15", "-p", "2222"),
        *("-W", "10.0.0.9:5003", "ada@login"),
    )
    assert "-p 2222 ada@login cat" in (ssh / "calls").read_text()


def test_folder_without_a_server_is_named(make_key, ssh):
    with pytest.raises(BlockRejectedError, match=r"(?s)no pool server has its files there: .*No such file.*pool start"):
        read_access(ExistingPool("ssh://login/~/none", key=make_key()))


def test_login_that_fails_is_quoted(make_key, ssh):
    (ssh / "bin" / "ssh").write_text("#!/bin/sh\necho 'Permission denied (publickey).' >&2\nexit 255\n")
    with pytest.raises(BlockError, match=r"ssh login fails: Permission denied \(publickey\)") as caught:
        read_access(ExistingPool("ssh://login/pool", key=make_key()))
    assert not isinstance(caught.value, BlockRejectedError)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "The key of the pool cannot be read: .*No such file"),
        (b"{}", "holds no key of a pool, as 'cnflow pool key' writes it"),
        (b'{"name":"a","public":"","secret":"","server_key":""}', "lists no pool; issue another one by"),
    ],
)
def test_key_that_cannot_be_used_is_named(tmp_path, content, words):
    file = tmp_path / "key.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=words):
        read_access(ExistingPool("tcp://a:1", key=str(file)))


@pytest.mark.parametrize(
    ("port", "name", "found"),
    [(5003, None, "predict"), (9000, "train", "train"), (5003, "train", "predict"), (9000, None, None)],
)
def test_port_leads_to_its_pool_or_to_the_one_that_is_named(port, name, found):
    pools = pools_at_port((TRAIN, PREDICT), port, name)
    assert [(pool.name, pool.clients_port) for pool in pools] == ([(found, port)] if found else [])


def test_port_that_is_forwarded_leads_to_the_only_pool(make_key):
    request = ExistingPoolBackend(ExistingPool("tcp://localhost:9000", key=make_key(BARE))).access(NO_IMAGE)
    assert (request.endpoint, request.server_key) == ("tcp://localhost:9000", BARE.server_key)


def test_port_of_none_of_several_pools_is_refused_with_theirs(make_key):
    key = make_key(TRAIN, PREDICT)
    with pytest.raises(ConfigurationError, match=r"lists no pool at port 5001, but train \(5002\), predict \(5003\)"):
        read_access(ExistingPool("tcp://pool.lab:5001", key=key))


def test_key_is_needed_without_a_cluster():
    with pytest.raises(ConfigurationError, match=r"ExistingPool\('tcp://a:1'\) needs key=, the file that"):
        read_access(ExistingPool("tcp://a:1"))


def test_pool_of_a_driver_stays_its_pool_when_an_upgrade_gives_it_another_image(tmp_path, make_key):
    backend = ExistingPoolBackend(ExistingPool("tcp://pool.lab:5002", key=make_key(TRAIN, PREDICT), pool="train"))
    assert backend.access(Image("train:1")).server_key == TRAIN.server_key
    make_key(PoolAddress(**{**msgspec.structs.asdict(TRAIN), "image": "train:2"}), PREDICT)
    assert backend.access(Image("train:1")).server_key == TRAIN.server_key
    with pytest.raises(ImageNotFoundError, match="Did you mean 'train:2'"):
        backend.access(Image("train:3"))
