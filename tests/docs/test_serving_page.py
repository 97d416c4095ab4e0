"""The tables of docs/reference/serving.md have what the code has, and the examples of serving run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cnflow.config.serving import ServeConfig, load_serve_config
from cnflow.serving import metric_families as families

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/serving.md").read_text(encoding="utf-8")
EXPECTED = {
    "serve_model.py": "200 [780.0, 1150.0]\n422 invalid_rows [0, 'rooms']\n",
    "serve_batching.py": "rows in a batch",
    "serve_versions.py": "no call has failed",
}


@pytest.mark.parametrize(
    "each", [*families.COUNTERS, *families.HISTOGRAMS, *families.GAUGES], ids=lambda each: each.name
)
def test_metric_is_in_the_reference(each):
    labels = ", ".join(f"`{label}`" for label in each.labels)
    assert f"| `{each.name}` | {labels} | {each.words} |" in PAGE


def test_reference_has_no_metric_that_is_gone():
    known = {each.name for each in (*families.COUNTERS, *families.HISTOGRAMS, *families.GAUGES)}
    assert set(re.findall(r"^\| `(cnflow_serving_\w+)`", PAGE, re.MULTILINE)) == known


@pytest.mark.parametrize("page", ["tutorials/serve.md", "how-to/versions-and-canaries.md"])
def test_file_of_settings_on_a_page_is_read(page, tmp_path):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    found = re.search(r"```toml\n(.*?)```", text, re.DOTALL)
    assert found is not None
    path = tmp_path / "serve.toml"
    path.write_text(found[1], encoding="utf-8")
    (tmp_path / "keys.txt").write_text("me secret-of-me\n", encoding="utf-8")
    assert isinstance(load_serve_config(path), ServeConfig)


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.timeout(120)
def test_example_runs(name, tmp_path):
    command = [sys.executable, str(ROOT / "examples" / name)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert EXPECTED[name] in done.stdout


def test_each_example_of_serving_is_run():
    assert {path.name for path in (ROOT / "examples").glob("serve_*.py")} == EXPECTED.keys()
