import sys

import pytest

from cnflow.cli.commands.report import report
from cnflow.errors import MissingExtraError


def test_report_names_the_extra_that_it_needs(monkeypatch, tmp_path):
    for name in [each for each in sys.modules if each.startswith(("cnflow.monitoring", "cnflow.cli.runs"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'cnflow\[monitoring\]'"):
        report(str(tmp_path))
