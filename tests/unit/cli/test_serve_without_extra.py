"""Serving models where the packages of its extra are not installed."""

import pytest

from cnflow.errors import MissingExtraError
from tests.hidden_modules import hidden_modules

WITHOUT = ("cnflow.serving", "cnflow.cli.model_server")


def test_server_names_the_extra_that_it_needs_when_it_is_made():
    with hidden_modules(*WITHOUT, missing=["uvicorn"]):
        from cnflow.serving.serve import Serve

        with pytest.raises(MissingExtraError, match=r"pip install 'cnflow\[serving\]'"):
            Serve()


def test_command_without_the_extra_is_refused_in_words(run_cnflow, tmp_path, monkeypatch):
    (tmp_path / "shop_of_words.py").write_text("from cnflow import model_app\n\nrate = model_app(lambda rows: rows)\n")
    monkeypatch.chdir(tmp_path)
    with hidden_modules(*WITHOUT, missing=["uvicorn"]):
        code, _, words = run_cnflow("serve", "shop_of_words:rate")
    assert code == 2
    assert "pip install 'cnflow[serving]'" in " ".join(words.split())
