"""Addresses of standing pools, and the choice of a pool for an executor."""

import pytest

from cnflow.config import Config, ExistingPool, HighThroughputExecutor
from cnflow.config.existing_pool import ReleaseAddress, SshAddress, TcpAddress, choose_pool, parse_address
from cnflow.errors import ConfigurationError, ImageNotFoundError
from cnflow.model.image import NO_IMAGE, Image
from cnflow.model.pool_files import PoolAddress


def pool(name, image=""):
    return PoolAddress(name=name, image=image, clients_port=5002, server_key="k" * 40)


BARE, TRAIN, PREDICT = pool("main"), pool("train", "train:1"), pool("predict", "predict:1")


@pytest.mark.parametrize(
    ("address", "parsed"),
    [
        ("tcp://pool.lab:5002", TcpAddress("pool.lab", 5002)),
        ("tcp://[fd00::1]:5002", TcpAddress("fd00::1", 5002)),
        ("ssh://login/srv/pool", SshAddress("login", None, "/srv/pool")),
        ("ssh://ada@login:2222/srv/my%20pool", SshAddress("ada@login", 2222, "/srv/my pool")),
        ("ssh://login/~/cnflow-pool", SshAddress("login", None, "cnflow-pool")),
        ("kubernetes://science/demo", ReleaseAddress("science", "demo")),
    ],
)
def test_address_of_each_kind(address, parsed):
    assert parse_address(address) == parsed
    assert ExistingPool(address).address == address


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("pool.lab:5002", "begins with 'pool.lab', which is no way to a pool. Write tcp://HOST:PORT"),
        ("tpc://pool.lab:5002", "begins with 'tpc', which is no way to a pool. Did you mean 'tcp'?"),
        ("tcp://pool.lab", "'tcp://pool.lab' is incomplete; write tcp://HOST:PORT"),
        ("tcp://pool.lab:99999", "the port is no number up to 65535"),
        ("ssh://login", "'ssh://login' is incomplete"),
        ("ssh://-oProxyCommand=x/a", "is incomplete"),
        ("ssh://-oProxyCommand=x@login/a", "is incomplete"),
        ("kubernetes://science", "'kubernetes://science' is incomplete"),
        ("kubernetes://science/a/b", "is incomplete"),
    ],
)
def test_address_that_leads_nowhere_is_refused_with_the_forms(address, words):
    with pytest.raises(ConfigurationError) as caught:
        ExistingPool(address)
    assert words in str(caught.value)


def test_option_of_the_pools_server_is_refused():
    with pytest.raises(ConfigurationError, match="max_blocks is an option of the pool, whose server starts its blocks"):
        ExistingPool("tcp://a:1", max_blocks=3)
    with pytest.raises(ConfigurationError, match="max_workers is an option of the pool, which has its workers already"):
        HighThroughputExecutor(provider=ExistingPool("tcp://a:1"), max_workers=3)
    with pytest.raises(ConfigurationError, match="Executor 'htex': fresh is an option of the pool"):
        HighThroughputExecutor(provider=ExistingPool("tcp://a:1")).for_fresh_tasks()


def test_pool_in_a_table_of_a_file():
    table = {"kind": "high_throughput", "provider": {"kind": "existing_pool", "address": "tcp://a:1", "pool": "x"}}
    provider = Config(executors=[table]).executors[0].provider
    assert (provider.address, provider.pool) == ("tcp://a:1", "x")


@pytest.mark.parametrize(
    ("pools", "image", "name", "chosen"),
    [
        ([TRAIN, PREDICT], Image("predict:1"), None, PREDICT),
        ([TRAIN], NO_IMAGE, None, TRAIN),
        ([BARE, TRAIN], NO_IMAGE, None, BARE),
        ([TRAIN, PREDICT], NO_IMAGE, None, None),
        ([TRAIN, PREDICT], NO_IMAGE, "train", TRAIN),
        ([pool("a", "train:1"), TRAIN], Image("train:1"), "train", TRAIN),
    ],
)
def test_pool_of_an_executor(pools, image, name, chosen):
    assert choose_pool(pools, image, name, "tcp://a:1") == chosen


def test_image_without_a_pool_is_refused_with_the_nearest():
    with pytest.raises(ImageNotFoundError) as caught:
        choose_pool([BARE, TRAIN], Image("tran:1"), None, "tcp://a:1")
    assert str(caught.value) == (
        "No pool of the server at tcp://a:1 runs image 'tran:1'. Did you mean 'train:1'? "
        "Its pools: main (no image), train (train:1)."
    )


def test_image_with_options_of_its_own_is_refused():
    with pytest.raises(ImageNotFoundError, match="Options of an image are those of the pool: name it by its reference"):
        choose_pool([TRAIN], Image("train:1", memory="1g"), None, "tcp://a:1")


def test_unknown_name_of_a_pool_is_refused_with_the_nearest():
    with pytest.raises(ConfigurationError, match=r"has no pool 'trian'\. Did you mean 'train'\?"):
        choose_pool([TRAIN, PREDICT], NO_IMAGE, "trian", "tcp://a:1")


def test_executor_of_a_pool_needs_an_image_unless_its_pool_has_none():
    provider = ExistingPool("tcp://a:1")
    assert HighThroughputExecutor(provider=provider).needs_image
    bare = HighThroughputExecutor(provider=provider).model_copy(update={"provider": provider.of_pool(BARE)})
    assert not bare.needs_image
    assert not bare.copied().needs_image
    assert bare.runs_images


def test_workers_of_a_pool_see_files_only_if_the_settings_say_so():
    assert ExistingPool("tcp://a:1", shares_files=True).visible_files(("/home/ann",)) is None
    visible = ExistingPool("tcp://a:1").visible_files(("/home/ann",))
    assert visible.own == ()
    assert "ExistingPool(shares_files=True)" in visible.advice
