import pytest

from cnflow.config.dump import plain, to_toml
from cnflow.config.serving import ModelConfig, ServeConfig, VersionConfig, load_serve_config
from cnflow.errors import ConfigurationError

FILE = """
fronts = 2
run_dir = "served"

[http]
port = 9000

[[executors]]
kind = "high_throughput"
label = "cpu"

[[models]]
name = "digits"
image = "app1:0.1"
module = "app1"
timeout = "00:01:30"

[[models]]
name = "two"

[[models.versions]]
version = "1"
module = "shop.models"
function = "Classifier"
weight = 0.9

[[models.versions]]
version = "2"
module = "shop.models"
shadow = 0.5
max_batch = 8
"""


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "serve.toml"
    path.write_text(FILE)
    return load_serve_config(path)


def test_a_file_has_models_beside_the_options_of_a_run(written):
    assert (written.fronts, written.http.port, written.executors[0].label) == (2, 9000, "cpu")
    digits, two = written.models
    assert (digits.name, digits.timeout, str(digits.versions[0].image)) == ("digits", 90.0, "app1:0.1")
    assert [(each.version, each.weight, each.shadow, each.max_batch) for each in two.versions] == [
        ("1", 0.9, 0.0, None),
        ("2", 1.0, 0.5, 8),
    ]


def test_a_written_configuration_is_read_back(written, tmp_path):
    path = tmp_path / "again.toml"
    path.write_text(to_toml(written))
    assert plain(load_serve_config(path)) == plain(written)
    assert plain(written.copied()) == plain(written)


def test_an_app_is_a_version_in_python():
    app = object()
    model = ModelConfig(name="digits", app=app)
    assert model.versions[0].app is app


@pytest.mark.parametrize(
    ("models", "words"),
    [
        ([{"name": "a", "module": "x"}, {"name": "a", "module": "x"}], "two models are called 'a'"),
        ([{"name": "a"}], "model 'a': ModelConfig: versions: Field required"),
        ([{"name": "a", "image": "app1:0.1"}], "model 'a': .*names no model: set module="),
        ([{"name": "a", "module": "x.py"}], "module='x.py' is no name of a module"),
        ([{"name": "a", "module": "x", "tiemout": 3}], "model 'a': .*Did you mean 'timeout'"),
        ([{"name": "a", "module": "x", "executor": "gpu"}], "'a' runs in executor 'gpu', which is not among .*: htex"),
        ([{"name": "a", "module": "x", "fronts": 3}], "Options of the server stand above the first"),
        ([{"name": "a b", "module": "x"}], "name"),
        ([{"name": "a", "module": "x", "versions": [{"module": "y"}]}], "has versions and, beside them, module"),
        ([{"name": "a", "versions": {"module": "y"}}], r"write \[\[models.versions\]\]"),
        ([{"name": "a", "versions": [{"module": "y"}, {"module": "z"}]}], "several versions in one image"),
        (
            [{"name": "a", "versions": [{"module": "y", "version": "1"}, {"module": "z", "version": "1"}]}],
            "several versions of the name '1'",
        ),
        ([{"name": "a", "module": "x", "weight": 0}], "no version of model 'a' has a weight above 0"),
        ([{"name": "a", "module": "x", "weight": float("inf")}], "weight"),
        ([{"name": "a", "module": "x", "shadow": 1.5}], "shadow"),
        ({"name": "a", "module": "x"}, r"write \[\[models\]\] in place of \[models\]"),
    ],
)
def test_mistakes_are_named(models, words):
    with pytest.raises(ConfigurationError, match=words):
        ServeConfig(models=models)


def test_a_version_has_one_source():
    with pytest.raises(ConfigurationError, match="both app= and module='x'"):
        VersionConfig(app=object(), module="x")


def test_http_is_one_table():
    with pytest.raises(ConfigurationError, match=r"write \[http\] in place of \[\[http\]\]"):
        ServeConfig(http=[{"port": 1}])
