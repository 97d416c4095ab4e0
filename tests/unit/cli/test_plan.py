"""`cnflow plan` and `cnflow cloud prices`, on configurations that need no cloud."""

import contextlib
import json
import os
import sys

import pytest
from typer.testing import CliRunner

from cnflow.budget import prices
from cnflow.cli import price_update
from cnflow.cli.app import app
from cnflow.cli.plan import budget_lines, config_of, plan_of
from cnflow.config import (
    AzureProvider,
    Budget,
    Config,
    HighThroughputExecutor,
    LocalProvider,
    OpenStackProvider,
    SlurmProvider,
)
from cnflow.config import selection as selected
from cnflow.config.ec2 import EC2Provider
from cnflow.errors import ConfigurationError

SCRIPT = """
import sys
import cnflow
from cnflow import Budget, Config
from cnflow.config import HighThroughputExecutor, LocalProvider

provider = LocalProvider(price_per_hour=float(sys.argv[1]), max_blocks=4)
try:
    cnflow.load(Config(executors=[HighThroughputExecutor(label="paid", provider=provider)], budget=Budget(usd=5)))
except Exception:
    pass
open("reached", "w").close()
"""


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.setattr(selected, "_on_selected", None)
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    monkeypatch.chdir(tmp_path)


def on(provider, **options):
    return Config(executors=[HighThroughputExecutor(label="paid", provider=provider)], **options)


def test_script_is_ended_where_it_loads_its_config(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    config = config_of(script, ["1.5"])
    assert config.budget == Budget(usd=5)
    assert not (tmp_path / "reached").exists()
    assert not (tmp_path / "runinfo").exists()


def test_script_that_fails_before_it_loads_is_an_error(tmp_path, capsys):
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    with pytest.raises(ConfigurationError, match="failed before it loaded a Config"):
        config_of(script, [])
    assert "IndexError" in capsys.readouterr().err


def test_script_that_ends_before_it_loads_is_an_error(tmp_path):
    script = tmp_path / "run.py"
    script.write_text("import sys\nsys.exit(0)\n")
    with pytest.raises(ConfigurationError, match="exit code 0 before it loaded a Config"):
        config_of(script, [])


def test_script_that_handles_every_exception_has_a_plan(tmp_path):
    script = tmp_path / "run.py"
    handled = "import sys\ntry:\n    cnflow.load(Config(retries=3))\nexcept BaseException:\n    sys.exit(0)\n"
    script.write_text("import cnflow\nfrom cnflow import Config\n" + handled)
    assert config_of(script, []).retries == 3


def test_file_with_a_config_is_read(tmp_path):
    (tmp_path / "c.py").write_text("from cnflow import Config\nconfig = Config(retries=7)\n")
    assert config_of(tmp_path / "c.py", []).retries == 7


def test_plan_names_blocks_prices_and_the_time_that_the_budget_lasts():
    config = on(LocalProvider(price_per_hour=1.5, max_blocks=4, init_blocks=0), budget=Budget(usd=6, core_hours=1000))
    (part,) = plan_of(config, asks=False)
    assert (part.executor, part.provider, part.first_blocks, part.most_blocks) == ("paid", "LocalProvider", 0, 4)
    assert part.price == "$1.50 an hour for a block, $6.00 for all"
    assert part.request is not None
    assert part.is_fine
    assert budget_lines(config, [part])[0] == "$6.00: lasts 1 h 0 min with all blocks"


def test_missing_price_is_a_bad_finding_where_dollars_are_limited():
    config = on(EC2Provider(instance_types=["x99.huge"], region="us-east-1"), budget=Budget(usd=6))
    (part,) = plan_of(config, asks=False)
    assert not part.is_fine
    assert "price_per_hour" in part.findings[0].found
    assert "not known" in part.price


def test_price_of_machines_is_that_of_the_table_with_the_machine_of_the_interchange():
    config = on(EC2Provider(instance_types=["m5.xlarge"], region="us-east-1", max_blocks=2))
    (part,) = plan_of(config, asks=False)
    assert part.price == "$0.192 an hour for a block, $0.384 for all, $0.0208 for the machine of the interchange"


def test_several_providers_have_a_part_each():
    config = on([LocalProvider(), SlurmProvider(partition="p")])
    assert [part.executor for part in plan_of(config, asks=False)] == ["paid/local", "paid/slurm"]


def test_plan_is_printed_as_text_and_as_json(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    text = CliRunner().invoke(app, ["plan", str(script), "1.5"])
    assert text.exit_code == 0
    assert "price: $1.50 an hour for a block, $6.00 for all" in text.output
    assert "Nothing was started." in text.output
    values = json.loads(CliRunner().invoke(app, ["plan", "--json", "--offline", str(script), "1.5"]).output)
    assert values["works"] is True
    assert values["parts"][0]["rate_of_a_block"]["usd_per_hour"] == 1.5


def test_prices_are_listed_cheapest_first_and_an_unknown_cloud_names_the_known_ones():
    listed = CliRunner().invoke(app, ["cloud", "prices", "ec2", "--region", "us-east-1", "--gpus", "1", "--most", "2"])
    assert listed.output.splitlines()[1].split()[:2] == ["g4dn.xlarge", "4"]
    assert "Dated 2025-03-02" in listed.output
    wrong = CliRunner().invoke(app, ["cloud", "prices", "nimbus"])
    assert wrong.exit_code == 2
    assert "azure, ec2, gce" in wrong.output


class Cloud:
    name = "EC2 in us-east-1"
    region = "us-east-1"

    def __init__(self, usd):
        self.usd = usd

    def fetch_prices(self, types):
        return {name: {"on_demand": self.usd, "spot": self.usd / 4} for name in types}


def test_fetched_prices_go_into_the_users_table_over_earlier_ones(monkeypatch):
    for usd, types in ((0.1, ["m5.large", "c5.large"]), (0.2, ["m5.large"])):
        monkeypatch.setattr(price_update, "cloud_of", lambda _, usd=usd: contextlib.nullcontext(Cloud(usd)))
        lines, path = price_update.update_prices(on(EC2Provider(instance_types=types)))
        assert lines == [f"EC2 in us-east-1: prices of {len(types)} of {len(types)} types"]
        prices._overlaid.cache_clear()
    assert path == prices.user_file()
    assert prices.rate_of("ec2", "us-east-1", "m5.large").usd_per_hour == 0.2
    assert prices.rate_of("ec2", "us-east-1", "m5.large", is_spot=True).usd_per_hour == 0.05
    assert prices.rate_of("ec2", "us-east-1", "c5.large").usd_per_hour == 0.1
    assert prices.rate_of("ec2", "us-west-2", "m5.large").usd_per_hour == 0.096


@pytest.mark.parametrize("provider", [OpenStackProvider(image_id="x"), AzureProvider(image_id="x")])
def test_cloud_that_does_not_know_the_user_is_a_bad_finding(provider, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith(("OS_", "AZURE_"))]:
        monkeypatch.delenv(name)
    (part,) = plan_of(on(provider))
    assert not part.is_fine


def test_offline_plan_says_why_it_has_no_request_for_a_machine():
    (part,) = plan_of(on(OpenStackProvider(image_id="x")), asks=False)
    assert part.request is None
    assert "--offline" in part.findings[-1].advice
    assert part.is_fine
