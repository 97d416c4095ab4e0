"""Values of the Helm chart: documentation, schema and known names say the same; no helm is needed."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
import yaml

import cnflow

ROOT = Path(__file__).parents[3]
CHART = ROOT / "helm" / "cnflow"


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("chart", ROOT / ".ci" / "chart.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def values():
    return yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def schema():
    return json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["README.md", "values.schema.json", "files/names.json", "files/driver-role.yaml"])
def test_generated_file_is_up_to_date(generator, name):
    assert generator.generated()[CHART / name] == (CHART / name).read_text(encoding="utf-8"), "run: make chart"


def test_version_of_the_chart_is_that_of_cnflow():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert (chart["version"], chart["appVersion"]) == (cnflow.__version__, cnflow.__version__)


def test_every_value_has_a_comment(generator, values):
    comments = generator.comments_of((CHART / "values.yaml").read_text(encoding="utf-8"))
    rows = re.findall(r"^\| `(\S+)` \| .* \| (.*) \|$", generator.table_of(values, comments), re.MULTILINE)
    assert len(rows) > 70
    assert [path for path, meaning in rows if not meaning] == []


def names_of_defaults(path, value, names):
    """Yield section and name of each default; a section is what the schema lists names for."""
    if path in names:
        for name, below in value.items():
            yield path, name
            yield from names_of_defaults(f"{path}.{name}".lstrip("."), below, names)


def test_schema_knows_the_values_that_have_defaults_and_no_others(generator, values, schema):
    names = generator.names_of(schema)
    given = set(names_of_defaults("", values, names))
    known = {(path, name) for path, below in names.items() for name in below if not path.startswith("pools")}
    optional = {("imagePullSecrets", "name")}
    without_default = {(path, name) for path, name in known if re.search(r"resources$", path)}
    assert given - known == set()
    assert known - given - without_default - optional == set()


def test_a_pool_has_the_values_of_the_defaults_of_pools(generator, schema):
    names = generator.names_of(schema)
    assert names["pools.*"] == names["poolDefaults"]
    assert names["pools.*.autoscaling"] == names["poolDefaults.autoscaling"]


def test_comments_follow_the_indentation(generator):
    text = "# All.\na:\n  # First\n  # line.\n  b: 1\n  c: 2\n# Other.\nd: {}\n"
    assert generator.comments_of(text) == {"a": "All.", "a.b": "First line.", "d": "Other."}
