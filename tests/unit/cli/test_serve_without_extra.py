import pytest

from cnflow.errors import MissingExtraError
from tests.hidden_modules import hidden_modules


def test_server_names_the_extra_that_it_needs():
    with (
        hidden_modules("cnflow.serving", "cnflow.cli.model_server", missing=["uvicorn"]),
        pytest.raises(MissingExtraError, match=r"pip install 'cnflow\[serving\]'"),
    ):
        from cnflow.serving.serve import Serve  # noqa: F401 - the import is what fails


def test_command_without_the_extra_is_refused_in_words(run_cnflow):
    with hidden_modules("cnflow.serving", "cnflow.cli.model_server", missing=["uvicorn"]):
        code, _, words = run_cnflow("serve", "shop:rate")
    assert code == 2
    assert "pip install 'cnflow[serving]'" in " ".join(words.split())
