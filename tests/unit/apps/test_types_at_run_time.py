"""Types of apps at run time: annotations can be evaluated, calls cost nothing more."""

import subprocess
import sys
from concurrent.futures import Future

from cnflow.apps import App, AppFuture, as_value


def test_annotations_of_apps_and_futures_can_be_evaluated():
    assert App[[int], str].__origin__ is App
    assert AppFuture[int].__origin__ is AppFuture


def test_as_value_returns_the_future_itself():
    future = Future()
    assert as_value(future) is future


def test_signatures_are_not_imported_at_run_time():
    code = "import sys, cnflow.apps; print(sorted(m for m in sys.modules if m == 'cnflow.apps.signatures'))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"[]\n"


def test_a_call_is_one_plain_function():
    assert App.__call__ is App._submit
