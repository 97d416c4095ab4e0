import sys

import pytest

from cnflow import cli


@pytest.fixture
def run_cnflow(monkeypatch, capsys):
    """Function that runs `cnflow` as its entry point does; returns exit code, stdout and stderr."""

    def run(*args):
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setattr(sys, "argv", ["cnflow", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, *capsys.readouterr()

    return run
