import json

import pytest

import cnflow
from cnflow.config import Config, DockerProvider, HighThroughputExecutor, load_config
from cnflow.errors import ConfigurationError, MissingExtraError, UnknownNameError

SHAPES = {
    "one executor": (
        "[executors]\nkind = 'threads'",
        "executors: must be a list of tables, not one table: in TOML write [[executors]] in place of [executors]; ",
    ),
    "executors by label": (
        "[executors.big]\nkind = 'threads'",
        "in TOML write [[executors]] in place of [executors.big], with label = 'big' below it",
    ),
    "one sink": (
        "[sinks]\nkind = 'json_lines'",
        "Config: sinks: must be a list of tables, not one table: ",
    ),
    "one staging": (
        "[[executors]]\nkind = 'threads'\n[executors.storage_access]\nkind = 'http'",
        "TOML write [[executors.storage_access]] in place of [executors.storage_access]",
    ),
    "two logs": (
        "[[initialize_logging]]\nkind = 'json'",
        "in TOML write [initialize_logging] in place of",
    ),
    "option of Config below an executor": (
        "[[executors]]\nkind = 'threads'\nlabel = 'small'\nretries = 2",
        "ThreadPoolExecutor 'small' has no option 'retries'. Known: ",
    ),
    "its place": (
        "[[executors]]\nkind = 'threads'\nretries = 2\nrun_dir = 'x'",
        " Options of Config stand above the first [[executors]]: 'retries', 'run_dir'.",
    ),
    "option of the executor below the provider": (
        "[[executors]]\nkind = 'high_throughput'\nlabel = 'big'\n[executors.provider]\nkind = 'local'\nmax_workers = 2",
        " Options of the executor stand above [executors.provider]: 'max_workers'.",
    ),
    "misspelt table": ("[[executor]]\nkind = 'threads'", "Config has no option 'executor'. Did you mean 'executors'?"),
    "no kind": (
        "[[executors]]\nmax_threads = 2",
        "executors[0]: The executor {'max_threads': 2} has no kind.",
    ),
    "unknown kind": ("[[executors]]\nlabel='a'\nkind = 'slrm'", "executor 'a': No executor is called 'slrm'."),
    "memory": (
        "[[executors]]\nkind = 'high_throughput'\nlabel = 'big'\nprovider = {kind = 'docker', memory = '4 gigs'}",
        "HighThroughputExecutor 'big': DockerProvider: memory: must be a number of bytes above 0",
    ),
    "second without a label": (
        "[[executors]]\nkind = 'threads'\n[[executors]]\nkind = 'high_throughput'\nmax_workers = 0",
        "executors[1]: HighThroughputExecutor: max_workers: Input should be greater than or equal to 1, not 0",
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_table_of_a_wrong_shape_or_place_is_named_with_what_to_write(shape, tmp_path):
    text, message = SHAPES[shape]
    file = tmp_path / "c.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        load_config(file)
    assert str(refused.value).startswith(f"{file}: ")
    assert message in str(refused.value)


def test_json_and_python_have_the_same_messages(tmp_path):
    file = tmp_path / "c.json"
    file.write_text(json.dumps({"executors": {"kind": "threads"}}))
    for make in (lambda: load_config(file), lambda: Config(executors={"kind": "threads"})):
        with pytest.raises(ConfigurationError, match="executors: must be a list of tables, not one table"):
            make()


def test_error_names_the_label_of_its_executor():
    with pytest.raises(ConfigurationError, match="HighThroughputExecutor 'big' has no option 'max_worker'"):
        HighThroughputExecutor(label="big", max_worker=2)
    made = HighThroughputExecutor(label="big")
    with pytest.raises(ConfigurationError, match="HighThroughputExecutor 'big': max_workers: "):
        made.max_workers = 0
    with pytest.raises(UnknownNameError, match="HighThroughputExecutor 'big': No provider is called 'dokcer'"):
        HighThroughputExecutor(label="big", provider={"kind": "dokcer"})


def test_every_mistake_of_an_executor_has_its_label():
    with pytest.raises(ConfigurationError) as refused:
        Config(executors=[{"kind": "threads", "label": "small", "max_thread": 2, "imag": ""}])
    assert [
        line.startswith("ThreadPoolExecutor 'small' has no option") for line in str(refused.value).splitlines()
    ] == [
        True,
        True,
    ]


def test_missing_packages_are_reported_with_the_label(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(DockerProvider, "packages", ("no_such_package_of_docker",))
    config = Config(executors=[HighThroughputExecutor(label="big", image="app1:0.1", provider=DockerProvider())])
    with pytest.raises(MissingExtraError) as refused:
        cnflow.load(config)
    assert str(refused.value).startswith("executor 'big': DockerProvider (kind 'docker') needs packages")
    assert refused.value.extra == "docker"
