import pytest

from cnflow.config.worker_pool import PoolServer, load_pool_server
from cnflow.errors import ConfigurationError

DEPLOYMENT = {"name": "d", "secret": "s", "max_replicas": 3}
RELEASE = {"name": "r", "keys_secret": "k", "clients_config_map": "c", "pools_config_map": "p"}


def test_configuration_in_toml_has_pools_with_the_options_of_executors(tmp_path):
    file = tmp_path / "pools.toml"
    file.write_text(
        'max_idletime = 5\n[[pools]]\nname = "a"\nmax_workers = 2\nprovider = {kind = "local", max_blocks = 3}\n'
    )
    server = load_pool_server(file)
    assert [(pool.label, pool.max_workers, pool.provider.max_blocks) for pool in server.pools] == [("a", 2, 3)]


def test_mistake_in_a_file_names_the_file_and_the_nearest_option(tmp_path):
    file = tmp_path / "pools.json"
    file.write_text('{"pools": [{"name": "a", "max_worker": 2}]}')
    with pytest.raises(ConfigurationError, match=r"pools\.json: .*no option 'max_worker'\. Did you mean 'max_workers'"):
        load_pool_server(file)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pools": []}, "pools is empty"),
        ({"pools": {"name": "a"}}, r"write \[\[pools\]\]"),
        ({"pools": [{"name": "a"}, {"name": "a"}]}, "several pools have label=a"),
        ({"pools": [{"name": "a", "clients_port": 7}, {"name": "b", "clients_port": 7}]}, "clients_port=7"),
        ({"pools": [{"name": "a", "deployment": DEPLOYMENT}]}, "needs address="),
        (
            {"pools": [{"name": "a", "address": "a.b.svc", "managers_port": 7, "deployment": DEPLOYMENT}]},
            "needs release=",
        ),
        (
            {"pools": [{"name": "a", "deployment": {**DEPLOYMENT, "min_replicas": 4}}]},
            "min_replicas=4 may not be more than max_replicas=3",
        ),
        ({"strategy": "simpel"}, "no strategy is called 'simpel'"),
        ({"listn": "0.0.0.0"}, "Did you mean 'listen'"),
    ],
)
def test_mistake_in_the_configuration_is_explained(options, words):
    with pytest.raises(ConfigurationError, match=words):
        PoolServer(**options)


def test_release_with_a_deployment_is_taken():
    pool = {"name": "a", "address": "a.b.svc", "managers_port": 7, "deployment": DEPLOYMENT}
    assert PoolServer(pools=[pool], release=RELEASE).pools[0].deployment.max_replicas == 3
