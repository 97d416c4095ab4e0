"""Settings of stagings whose user chooses who moves the files."""

import pickle

import pytest

from cnflow import Config, File
from cnflow.config import load_config
from cnflow.config.dump import to_toml
from cnflow.errors import ConfigurationError, UnknownNameError
from cnflow.executors import ThreadPoolExecutor
from cnflow.model.image_parts import Secret
from cnflow.staging import Direction, FsspecStaging, RSyncStaging, staging_for

RSYNC = RSyncStaging("me@host", port=2222, key_file="/key", ssh_options=["-o", "ProxyJump=gate"], way="driver")
STORES = FsspecStaging({"s3": {"endpoint_url": "http://h", "key": "me", "secret": "env:KEY"}}, way="in_task")


@pytest.mark.parametrize("staging", [RSYNC, STORES])
def test_staging_survives_a_configuration_file_and_a_pickle(staging, tmp_path):
    config = Config(executors=[ThreadPoolExecutor(storage_access=[staging])])
    path = tmp_path / "config.toml"
    path.write_text(to_toml(config))
    assert load_config(path) == config
    assert pickle.loads(pickle.dumps(staging)) == staging


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: RSyncStaging("-oProxyCommand=x"), ConfigurationError, "write a host, or user@host"),
        (lambda: RSyncStaging("host:/path"), ConfigurationError, "write a host, or user@host"),
        (lambda: RSyncStaging("h", host_key="/etc/key.pub"), ConfigurationError, "is no public key"),
        (lambda: RSyncStaging("h", ssh_options="-v"), ConfigurationError, "Write a list"),
        (lambda: RSyncStaging("h", tries=0), ConfigurationError, "tries at least 1"),
        (lambda: RSyncStaging("h", way="drivers"), UnknownNameError, "Did you mean 'driver'"),
        (lambda: FsspecStaging(way="task"), UnknownNameError, "Did you mean 'in_task'"),
        (lambda: FsspecStaging(schemes=["http"]), ConfigurationError, "have a staging of their own"),
        (lambda: FsspecStaging(schemes=["sm"]), UnknownNameError, "Did you mean 'smb'"),
        (lambda: FsspecStaging({"s3": "me"}), ConfigurationError, "write a table of options"),
    ],
)
def test_wrong_option_is_refused_with_advice(make, error, said):
    with pytest.raises(error, match=said):
        make()


def test_secret_in_clear_is_hidden_and_in_no_file():
    staging = FsspecStaging({"s3": {"key": "me", "secret": "hidden"}})
    assert "hidden" not in repr(staging)
    assert "hidden" not in repr(staging.mover)
    assert staging.options["s3"]["secret"] == Secret(value="hidden")
    with pytest.raises(ConfigurationError, match="secret is a secret whose source is a text"):
        to_toml(Config(executors=[ThreadPoolExecutor(storage_access=[staging])]))


def test_secrets_inside_of_options_are_hidden_and_may_have_lines():
    key = "-----BEGIN PRIVATE KEY-----\nhidden\n"
    nested = {"s3": {"client_kwargs": {"aws_secret_access_key": key}}, "gs": {"token": {"private_key": key}}}
    staging = FsspecStaging(nested)
    assert "hidden" not in repr(staging) + repr(staging.mover)
    assert {scheme: staging.mover.options_for(scheme) for scheme in nested} == nested


def test_source_of_a_secret_is_what_travels(monkeypatch):
    monkeypatch.setenv("KEY", "text of the key")
    assert b"text of the key" not in pickle.dumps(STORES.mover)
    assert STORES.mover.options_for("s3") == {"endpoint_url": "http://h", "key": "me", "secret": "text of the key"}
    assert hash(STORES.mover) == hash(STORES.mover)
    nested = FsspecStaging({"s3": {"client_kwargs": {"region_name": "x"}, "config": [1, 2]}})
    assert nested.mover.options_for("s3") == {"client_kwargs": {"region_name": "x"}, "config": [1, 2]}


@pytest.mark.parametrize("url", ["s3://b/x", "gs://b/x", "az://b/x", "abfs://b/x", "sftp://h/x"])
def test_stores_are_moved_by_default(url):
    assert isinstance(staging_for(File(url), None, Direction.IN), FsspecStaging)
    assert isinstance(staging_for(File(url), None, Direction.OUT), FsspecStaging)


def test_rsync_takes_paths_of_any_machine_and_no_pattern():
    assert RSYNC.can_stage_in(File("/data/x"))
    assert RSYNC.can_stage_in(File("/data", directory=True))
    assert not RSYNC.can_stage_out(File("/data/*", glob=True))
    assert not RSYNC.can_stage_in(File("file://other/x"))


@pytest.mark.parametrize(
    ("url", "stagings", "said"),
    [
        ("s3://b/x", [RSYNC], r"Add FsspecStaging\(\) to storage_access=; it needs pip install 'cnflow\[s3\]'."),
        ("smb://h/x", None, r"fsspec knows smb: files: add FsspecStaging\(schemes=\['smb'\]\)"),
        ("sf3://b/x", None, r"Did you mean 's3'\?.*Files of s3: need pip install 'cnflow\[s3\]'."),
    ],
)
def test_scheme_that_nobody_moves_is_refused_with_the_extra_that_it_needs(url, stagings, said):
    with pytest.raises(UnknownNameError, match=said) as caught:
        staging_for(File(url), stagings, Direction.IN)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
