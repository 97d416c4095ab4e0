import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import Field

from cnflow import Image, Mount
from cnflow.config import (
    Config,
    DockerProvider,
    HighThroughputExecutor,
    LocalProvider,
    Settings,
    ThreadPoolExecutor,
    load_config,
)
from cnflow.config.dump import plain, table_as_toml, to_json, to_toml, to_yaml
from cnflow.errors import ConfigurationError, MissingExtraError

FORMATS = {"json": to_json, "yaml": to_yaml, "toml": to_toml}
EACH = pytest.mark.parametrize("suffix", FORMATS)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
PATH = TEXT.filter(lambda path: "$" not in path and not path.startswith("~"))  # others are replaced
COUNT = st.integers(0, 5)
SOME = st.floats(min_value=0, exclude_min=True, allow_nan=False, allow_infinity=False)
SCALARS = st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False), TEXT)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
)
TABLES = st.dictionaries(TEXT, VALUES, max_size=4)
WORDS = st.dictionaries(TEXT, TEXT, max_size=3)


def or_none(strategy):
    return st.none() | strategy


LOCAL = st.builds(LocalProvider, init_blocks=COUNT, python=or_none(PATH), environment=WORDS)
DOCKER = st.builds(
    DockerProvider,
    host=or_none(TEXT),
    pull=st.sampled_from(["missing", "always", "never"]),
    environment=WORDS,
    mounts=st.dictionaries(PATH, TEXT.map("/{}".format), max_size=3),
    cpus=or_none(SOME),
    memory=st.one_of(st.none(), st.sampled_from(["4g", "512 MiB", "1.5GB"]), st.integers(min_value=1)),
    gpus=st.one_of(st.none(), st.integers(-1, 4), st.lists(TEXT, max_size=2)),
    create=TABLES,
)
IMAGE = st.builds(
    Image,
    TEXT.filter(bool),
    environment=st.dictionaries(TEXT.filter(lambda name: name and "=" not in name), TEXT, max_size=2),
    secrets=st.dictionaries(st.from_regex(r"[A-Z]{1,5}", fullmatch=True), st.sampled_from(["env:A", "file:/a"])),
    mounts=st.lists(st.sampled_from(["/a:/b", "c:/d:rw", Mount(kind="tmpfs", target="/e", size=9)]), unique=True),
    cpus=or_none(st.integers(1, 9)),
    memory=st.one_of(st.none(), st.sampled_from(["4g", 5])),
    gpus=st.one_of(st.none(), st.integers(-1, 4), st.lists(TEXT, min_size=1, max_size=2)),
    ulimits=st.dictionaries(TEXT, st.one_of(st.integers(-1, 9), st.tuples(COUNT, COUNT)), max_size=2),
    entrypoint=st.sampled_from(["replace", "keep", ["/enter"]]),
    extras=st.dictionaries(st.sampled_from(["docker", "of somebody else"]), TABLES, max_size=1),  # others may be slips
)
HTEX = st.builds(
    HighThroughputExecutor,
    image=TEXT | IMAGE,
    provider=LOCAL | DOCKER,
    max_workers=or_none(st.integers(1, 9)),
    cores_per_worker=SOME,
    mem_per_worker=or_none(SOME),
    address=or_none(TEXT),
    worker_port_range=or_none(st.tuples(st.integers(1, 1000), st.integers(1000, 65535))),
)
THREADS = st.builds(ThreadPoolExecutor, max_threads=st.integers(1, 9))


@st.composite
def configs(draw):
    executors = draw(st.lists(HTEX | THREADS, min_size=1, max_size=3))
    for number, executor in enumerate(executors):
        executor.label = f"{number}{draw(st.from_regex(r'[A-Za-z0-9._-]{0,8}', fullmatch=True))}"
    return Config(
        executors=executors,
        retries=draw(COUNT),
        ignore_images=draw(st.booleans()),
        run_dir=draw(PATH),
        app_cache=draw(st.booleans()),
        checkpoint_mode=draw(st.sampled_from([None, "task_exit", "periodic", "dfk_exit", "manual"])),
        checkpoint_period=draw(st.sampled_from([None, "00:10:00", 30.5])),
        checkpoint_files=draw(or_none(st.lists(PATH, max_size=2))),
        initialize_logging=draw(st.booleans()),
    )


@EACH
@given(config=configs())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
def test_any_config_survives_a_file_and_back(config, suffix, tmp_path):
    file = tmp_path / f"config.{suffix}"
    file.write_text(FORMATS[suffix](config), encoding="utf-8")
    assert load_config(file) == config


@given(TABLES)
def test_any_table_survives_toml_and_back(table):
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    assert toml.loads(table_as_toml(table)) == table


def test_toml_puts_plain_options_before_tables():
    config = Config(
        executors=[
            HighThroughputExecutor(image="app1:0.1", provider=DockerProvider(environment={"a b": "c"}, gpus=["0"])),
            ThreadPoolExecutor(),
        ]
    )
    text = to_toml(config)
    assert text.startswith('retries = 0\napp_cache = true\ncache_files_by = "mtime"\n')
    assert '\n\n[[executors]]\nkind = "high_throughput"\nlabel = "htex"\nimage = "app1:0.1"\n' in text
    assert '\n\n[executors.provider]\nkind = "docker"\n' in text
    assert '\ngpus = ["0"]\n' in text
    assert "\nmounts = {}\n" in text
    assert '\n\n[executors.provider.environment]\n"a b" = "c"\n' in text
    last = text.rpartition("[[executors]]\n")[2]
    assert last.startswith('kind = "threads"\nlabel = "threads"\nimage = ""\nmax_threads = 2\n')
    assert "max_workers" not in text


@EACH
def test_default_config_survives_each_format(suffix, tmp_path):
    file = tmp_path / f"c.{suffix}"
    file.write_text(FORMATS[suffix](Config()))
    assert load_config(file) == Config()


def test_every_option_is_in_the_plain_values():
    assert plain(Config()) == Config().model_dump(mode="json")


class Odd(Settings):
    """Options of every kind that a Config may hold one day."""

    word: str | None = "set"
    any: Any = None
    inner: list[Settings] = Field(default_factory=list)
    secret: str = Field(default="", exclude=True)


def test_values_that_json_can_hold_are_written():
    assert plain(Odd(any={"path": Path("/a"), "set": {1}}))["any"] == {"path": "/a", "set": [1]}


def test_excluded_option_is_not_written():
    assert "secret" not in plain(Odd(secret="x"))


@EACH
def test_option_that_no_file_can_hold_is_named(suffix):
    config = Odd(inner=[Odd(), Odd(any=[{"handler": lambda _: 1}])])
    with pytest.raises(ConfigurationError) as caught:
        FORMATS[suffix](config)
    assert str(caught.value) == (
        "Odd.inner.1.any.0.handler is a function, which needs Python: keep this configuration in a .py file."
    )


@pytest.mark.parametrize(
    ("config", "place"),
    [
        (Odd(word=None), "word"),
        (Odd(inner=[Odd(word=None)]), "inner.0.word"),
        (Odd(any=[1, None]), "any.1"),
        (Odd(any={"a": {"b": None}}), "any.a.b"),
        (Odd(any=[{"a": 1}, {"b": [None]}]), "any.1.b.0"),
    ],
)
def test_none_that_is_no_default_is_refused_by_toml_alone(config, place):
    with pytest.raises(ConfigurationError) as caught:
        to_toml(config)
    assert str(caught.value) == f"{place} is None, a value that TOML does not have: use YAML or JSON."
    assert json.loads(to_json(config)) == plain(config)


def test_yaml_without_its_package_names_the_extra_on_writing(monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingExtraError, match=r"cnflow\[yaml\]"):
        to_yaml(Config())
