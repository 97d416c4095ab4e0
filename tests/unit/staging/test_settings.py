import inspect
import pickle

import pytest

from cnflow.config import Config, Secret, load_config
from cnflow.config.dump import to_json, to_toml, to_yaml
from cnflow.config.registry import STAGINGS
from cnflow.errors import ConfigurationError, UnknownNameError
from cnflow.executors import HighThroughputExecutor, ThreadPoolExecutor
from cnflow.interfaces import Staging
from cnflow.staging import FTPSeparateTaskStaging, GlobusStaging, HTTPInTaskStaging, NoOpFileStaging, ZipFileStaging
from cnflow.tasks.staging.secrets import SecretSource

COLLECTION = "037f054a-15cf-11e8-b611-0ac6873fc732"
CONFIG = Config(
    executors=[
        ThreadPoolExecutor(storage_access=[HTTPInTaskStaging(timeout=3.0, tries=2), NoOpFileStaging()]),
        HighThroughputExecutor(storage_access=[ZipFileStaging(), FTPSeparateTaskStaging()], working_dir="/scratch"),
        ThreadPoolExecutor(label="none", storage_access=[]),
        ThreadPoolExecutor(
            label="globus",
            storage_access=[GlobusStaging("037f054a-15cf-11e8-b611-0ac6873fc732", local_path="/scratch")],
        ),
    ]
)


@pytest.mark.parametrize(("write", "suffix"), [(to_toml, ".toml"), (to_yaml, ".yaml"), (to_json, ".json")])
def test_stagings_survive_a_configuration_file(write, suffix, tmp_path):
    path = tmp_path / f"config{suffix}"
    path.write_text(write(CONFIG))
    assert load_config(path) == CONFIG


def test_stagings_survive_pickling_and_copying():
    assert pickle.loads(pickle.dumps(CONFIG)) == CONFIG
    assert CONFIG.model_copy(deep=True) == CONFIG


class Tape(Staging):
    """A user's own."""


def test_staging_that_no_package_registers_is_refused_by_a_dump():
    config = Config(executors=[ThreadPoolExecutor(storage_access=[Tape()])])
    assert "Tape()" in repr(config)
    with pytest.raises(ConfigurationError, match=r"storage_access holds a Tape, which needs Python"):
        to_json(config)


@pytest.mark.parametrize(
    ("table", "error", "said"),
    [
        ({"kind": "htpt"}, UnknownNameError, "No staging is called 'htpt'. Did you mean 'http'"),
        ({"timeout": 1}, ConfigurationError, "has no kind. Add one of: built_in, docker, file, fsspec, ftp"),
        ({"kind": "http", "timout": 1}, ConfigurationError, "no option 'timout'. Did you mean 'timeout'"),
        ({"kind": "http", "tries": 0}, ConfigurationError, "tries at least 1"),
        ("http", ConfigurationError, "storage_access"),
    ],
)
def test_wrong_staging_is_refused_with_advice(table, error, said):
    with pytest.raises(error, match=said):
        ThreadPoolExecutor(storage_access=[table])


NEEDED = {"endpoint_uuid": COLLECTION}
"""Values of options that a staging needs, and does not take from any text."""


@pytest.mark.parametrize("kind", STAGINGS.kinds())
def test_every_kind_is_a_staging_whose_attributes_are_its_options(kind):
    cls = STAGINGS.find(kind)
    options = inspect.signature(cls).parameters
    made = cls(**{name: NEEDED.get(name, "x") for name, option in options.items() if option.default is option.empty})
    assert isinstance(made, Staging)
    assert set(vars(made)) == set(options)


def test_folder_may_be_a_path(tmp_path):
    assert ThreadPoolExecutor(working_dir=tmp_path).working_dir == str(tmp_path)


SECRETS = HTTPInTaskStaging(
    headers={"Authorization": "Bearer env:TOKEN", "X-Key": Secret(file="/run/secrets/key"), "Accept": "text/csv"},
    proxy="env:PROXY",
)


def test_secrets_are_written_by_their_sources_and_read_where_the_transfer_runs(tmp_path):
    config = Config(executors=[ThreadPoolExecutor(storage_access=[SECRETS])])
    path = tmp_path / "config.toml"
    path.write_text(to_toml(config))
    assert load_config(path).executors[0].storage_access[0].mover == SECRETS.mover
    assert dict(SECRETS.mover.options.headers) == {
        "Authorization": SecretSource("Bearer ", env="TOKEN"),
        "X-Key": SecretSource(file="/run/secrets/key"),
        "Accept": SecretSource(text="text/csv"),
    }
    assert SECRETS.mover.options.proxy == SecretSource(env="PROXY")


@pytest.mark.parametrize("make", [lambda: Secret(value="t0ken"), lambda: Secret(call=lambda: "t0ken")])
def test_text_of_a_secret_travels_and_is_neither_printed_nor_written(make):
    staging = HTTPInTaskStaging(headers={"Authorization": make()})
    assert staging.mover.options.headers[0][1].text == "t0ken"
    assert "t0ken" not in repr(staging) + repr(staging.mover)
    with pytest.raises(ConfigurationError, match=r"headers.Authorization is a secret whose source is a text") as caught:
        to_toml(Config(executors=[ThreadPoolExecutor(storage_access=[staging])]))
    assert "t0ken" not in str(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: HTTPInTaskStaging(headers={"Authorization": "Bearer t0ken"}),
        lambda: HTTPInTaskStaging(headers={"X-Api-Key": "t0ken"}),
        lambda: HTTPInTaskStaging(proxy="http://ann:t0ken@proxy:3128"),
        lambda: FTPSeparateTaskStaging(password="t0ken"),
    ],
)
def test_secret_in_clear_is_refused_and_not_quoted(make):
    with pytest.raises(ConfigurationError, match="env:NAME") as caught:
        make()
    assert "t0ken" not in str(caught.value)


def test_header_with_an_impossible_name_and_a_missing_ca_file_are_refused():
    with pytest.raises(ConfigurationError, match="'A: b' is no name of a header"):
        HTTPInTaskStaging(headers={"A: b": "x"})
    with pytest.raises(ConfigurationError, match=r"ca_file='/no/such' cannot be read: No such file"):
        _ = HTTPInTaskStaging(ca_file="/no/such").mover


def test_password_in_a_url_of_an_option_is_not_shown():
    class Mine(Staging):
        def __init__(self):
            self.server = "ftp://ann:secret@host"

    assert repr(Mine()) == "Mine(server='ftp://***@host')"
