import os
import stat

from cnflow.monitoring.store.database import prepare


def test_only_the_user_reads_a_new_database(tmp_path):
    before = os.umask(0o022)
    try:
        prepare(f"sqlite:///{tmp_path}/monitoring.db")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert set(modes.values()) == {0o600}, modes


def test_a_database_that_the_user_shares_stays_shared(tmp_path):
    file = tmp_path / "monitoring.db"
    file.touch()
    file.chmod(0o660)
    prepare(f"sqlite:///{file}")
    assert stat.S_IMODE(file.stat().st_mode) == 0o660
