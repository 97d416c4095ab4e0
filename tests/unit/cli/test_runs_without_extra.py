import pytest

from cnflow.cli.commands.report import report
from cnflow.errors import MissingExtraError
from tests.hidden_modules import hidden_modules


def test_report_names_the_extra_that_it_needs(tmp_path):
    with (
        hidden_modules("cnflow.monitoring", "cnflow.cli.runs", missing=["sqlalchemy"]),
        pytest.raises(MissingExtraError, match=r"pip install 'cnflow\[monitoring\]'"),
    ):
        report(str(tmp_path))
