import json
import re
import sys

import pytest

from cnflow.config import Config, DockerProvider, HighThroughputExecutor, ThreadPoolExecutor, load_config
from cnflow.errors import ConfigurationError, MissingExtraError

WANTED = Config(
    executors=[
        HighThroughputExecutor(label="digits", image="digits-train:0.1", provider=DockerProvider(memory="4g")),
        ThreadPoolExecutor(max_threads=4),
    ],
    retries=2,
)

PYTHON = """
from cnflow import Config
from cnflow.executors import HighThroughputExecutor, ThreadPoolExecutor
from cnflow.providers import DockerProvider

digits = HighThroughputExecutor(label="digits", image="digits-train:0.1", provider=DockerProvider(memory="4g"))
config = Config(executors=[digits, ThreadPoolExecutor(max_threads=4)], retries=2)
"""

TOML = """
retries = 2

[[executors]]
kind = "high_throughput"
label = "digits"
image = "digits-train:0.1"
provider = {kind = "docker", memory = "4g"}

[[executors]]
kind = "threads"
max_threads = 4
"""

YAML = """
retries: 2
executors:
  - kind: high_throughput
    label: digits
    image: "digits-train:0.1"
    provider: {kind: docker, memory: 4g}
  - kind: threads
    max_threads: 4
"""


@pytest.fixture
def file(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.py", PYTHON),
        ("c.toml", TOML),
        ("c.json", json.dumps(WANTED.model_dump(mode="json"))),
        ("c.yaml", YAML),
        ("c.yml", YAML),
    ],
)
def test_formats_give_equal_configs(file, name, text):
    if "y" in name[-4:-1] or name.endswith("yml"):
        pytest.importorskip("yaml")
    path = file(name, text)
    assert load_config(path) == WANTED
    assert load_config(str(path)) == WANTED


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.ini", "", "cannot be read from a file of type '.ini'. Known: .py, .toml, .json, .yaml, .yml."),
        ("c.tml", "", "Did you mean '.toml'?"),
        ("c", "", "of type '(none)'"),
        ("c.toml", "retries =", "it is no TOML: Invalid value (at end of document)"),
        ("c.toml", "retires = 3", "Config has no option 'retires'. Did you mean 'retries'?"),
        ("c.toml", "[[executors]]\nkind = 'thread'", "No executor is called 'thread'. Did you mean 'threads'?"),
        ("c.json", "[1]", "holds a list; expected a table with the options of Config."),
        ("c.json", '{"retries": ', "it is no JSON: Expecting value: line 1"),
        ("c.py", "confg = 3", "sets no variable 'config'. Did you mean 'confg'?"),
        ("c.py", "config = 3", "its variable 'config' is a int, not a Config."),
        ("c.py", "\n\n1 / 0", "line 3: ZeroDivisionError: division by zero"),
        ("c.py", "import nowhere_to_be_found", "line 1: ModuleNotFoundError: No module named"),
        ("c.py", "x = = 3", "SyntaxError: invalid syntax"),
        ("c.py", "from cnflow import Config\nconfig = Config(retries=-1)", "line 2: Config: retries: "),
    ],
)
def test_error_message_begins_with_the_file(file, name, text, message):
    path = file(name, text)
    with pytest.raises(ConfigurationError, match=f"^{re.escape(str(path))}: ") as refused:
        load_config(path)
    assert message in str(refused.value)


@pytest.mark.parametrize("suffix", [".py", ".toml", ".json"])
def test_missing_file_is_reported(tmp_path, suffix):
    path = tmp_path / f"nowhere{suffix}"
    with pytest.raises(ConfigurationError) as refused:
        load_config(path)
    assert str(refused.value) == f"{path}: No such file or directory"


def test_yaml_error_is_one_line(file):
    pytest.importorskip("yaml")
    with pytest.raises(ConfigurationError) as refused:
        load_config(file("c.yaml", "retries: [1\n  - 2"))
    assert "\n" not in str(refused.value)


def test_reading_yaml_without_its_package_names_the_extra(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'cnflow\[yaml\]'"):
        load_config(file("c.yaml", YAML))


def test_python_file_finds_files_beside_itself(file):
    path = file("c.py", "from cnflow import Config\nconfig = Config(run_dir=__file__ + '.runs')")
    assert load_config(path).run_dir == f"{path}.runs"
