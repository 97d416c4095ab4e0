import ast
import builtins

import pytest

from cnflow.executors.high_throughput import syntax_trees


@pytest.fixture
def confused(monkeypatch):
    """Let as many calls of `compile` fail as the list says, as where another thread parses at the same moment."""
    failures = []

    def compile_or_fail(*args, **options):
        if failures:
            failures.pop()
            raise SystemError("AST constructor recursion depth mismatch (before=219, after=92)")
        return builtins.compile(*args, **options)

    monkeypatch.setattr(syntax_trees, "compile", compile_or_fail, raising=False)
    return failures


def test_source_is_parsed_again_where_another_thread_has_confused_python(confused):
    confused += [1, 1, 1]
    assert ast.unparse(syntax_trees.parse("a  =  1", "f.py")) == "a = 1"
    assert confused == []


def test_python_that_stays_confused_is_reported(confused):
    confused += [1] * 9
    with pytest.raises(SystemError, match="depth mismatch"):
        syntax_trees.parse("a = 1", "f.py")


def test_only_a_cell_may_await_outside_of_functions():
    text = "[one async for one in f()]"
    assert isinstance(syntax_trees.parse(text, "cell", is_cell=True), ast.Module)
    with pytest.raises(SyntaxError):
        syntax_trees.parse("def f(:", "f.py")
