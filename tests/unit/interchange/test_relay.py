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
