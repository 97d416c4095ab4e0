"""Types of apps, futures and pools as users' scripts see them: mypy and pyright on `users`, both strict.

A script holds what must be accepted, with `assert_type`; `mistakes.py` what must be reported, by comments that are
errors themselves where there is nothing to ignore.
"""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent
CHECKERS = {
    "mypy": ["--strict", "--config-file=", f"--cache-dir={ROOT / '.mypy_cache' / 'users'}", "users"],
    "pyright": ["--project", "pyrightconfig.json", "--pythonpath", sys.executable],
}


@pytest.mark.parametrize("checker", CHECKERS)
def test_checker_accepts_correct_calls_and_reports_mistakes(checker):
    found = subprocess.run(
        [sys.executable, "-m", checker, *CHECKERS[checker]], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
