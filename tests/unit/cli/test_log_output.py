"""Which run `cnflow logs` shows."""

from pathlib import Path

import pytest

from cnflow.cli.log_output import show_logs
from cnflow.errors import ConfigurationError


@pytest.fixture
def runs(tmp_path, monkeypatch):
    for number in ("006", "007"):
        log = tmp_path / "runinfo" / number / "htex" / "block-0.log"
        log.parent.mkdir(parents=True)
        log.write_text(f"fit[3] | of {number}\n")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("name", "run"), [("006", "006"), ("runinfo/006", "006"), ("runinfo", "007"), ("007", "007")])
def test_run_is_named_by_its_number_or_a_folder(runs, name, run):
    shown = []
    show_logs("3", Path(name), follow=False, last=0, write=shown.append)
    assert shown == [f"fit[3] | of {run}"]


def test_folder_that_is_there_comes_before_a_number(runs):
    log = Path("006/htex/block-0.log")
    log.parent.mkdir(parents=True)
    log.write_text("fit[3] | here\n")
    shown = []
    show_logs("htex/0", Path("006"), follow=False, last=0, write=shown.append)
    assert shown == ["fit[3] | here"]


def test_run_that_is_not_there_is_refused(runs):
    with pytest.raises(ConfigurationError, match="008"):
        show_logs("3", Path("008"), follow=False, last=0, write=print)
