import os
import time
from pathlib import Path

from cnflow.interchange import relay


def test_logs_of_interchanges_are_removed_after_two_weeks(tmp_path):
    for name, days in (("old", 15), ("new", 13)):
        (tmp_path / f"{name}.log").touch()
        moment = time.time() - days * 24 * 3600
        os.utime(tmp_path / f"{name}.log", (moment, moment))
    relay._remove_old_logs(tmp_path)
    assert [log.name for log in tmp_path.iterdir()] == ["new.log"]


def test_folder_of_sockets_is_the_same_for_all_logins(monkeypatch):
    expected = Path("/tmp", f"cnflow-{os.getuid()}")
    monkeypatch.setenv("TMPDIR", "/var/tmp/session-17")
    assert relay._usual_folder() == expected


def test_results_that_a_replaced_interchange_kept_are_removed(tmp_path):
    for session in ("aa", "bb"):
        (tmp_path / session / "results").mkdir(parents=True)
    relay._remove_spool({"spool": str(tmp_path / "cc")}, "aa")
    relay._remove_spool({"spool": str(tmp_path / "cc")}, "..")
    relay._remove_spool({"spool": ""}, "bb")
    relay._remove_spool(None, "bb")
    assert [folder.name for folder in tmp_path.iterdir()] == ["bb"]
