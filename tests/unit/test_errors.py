import inspect
import pickle
import re

import pytest

from cnflow import errors
from cnflow.errors import (
    AppFailedError,
    AppTimeout,
    BadCheckpoint,
    BashAppNoReturn,
    BashExitFailure,
    CnflowError,
    ConfigurationError,
    DependencyError,
    InvalidRowsError,
    JoinError,
    MissingExtraError,
    MissingOutputs,
    NotCoveredError,
    PropagatedError,
    RemoteError,
    StagingError,
    TaskCutOff,
    UnknownNameError,
    WorkerLost,
)

CLASSES = [
    cls
    for name, cls in vars(errors).items()
    if inspect.isclass(cls) and issubclass(cls, CnflowError) and cls.__name__ == name  # an alias has another's name
]


def parents_in_drawing():
    """Map each name in the drawing of `cnflow.errors` to its parent, by the columns in which they begin."""
    above, parents = [], {}
    _, _, drawing = inspect.cleandoc(errors.__doc__ or "").partition("\n\n")
    for line in drawing.splitlines():
        name = re.match(r"[│├└─ ]*(\w+)", line)
        assert name, line
        column = name.start(1)
        above = [(at, other) for at, other in above if at < column]
        parents[name[1]] = above[-1][1] if above else None
        above.append((column, name[1]))
    return parents


def test_drawing_shows_all_classes_with_their_parents():
    parents = {cls.__name__: cls.__bases__[0].__name__ for cls in CLASSES}
    assert parents_in_drawing() == {**parents, "CnflowError": None}


def test_classes_of_each_module_are_in_the_order_of_the_drawing():
    lines = {cls.__name__: (cls.__module__, inspect.getsourcelines(cls)[1]) for cls in CLASSES}
    for module in {module for module, _ in lines.values()}:
        here = [lines[name][1] for name in parents_in_drawing() if lines[name][0] == module]
        assert here == sorted(here)


def test_every_class_says_what_it_means():
    assert [cls.__name__ for cls in CLASSES if not cls.__doc__] == []


def examples():
    """One error of each class, with the arguments that it is raised with."""
    special = {
        UnknownNameError: ("provider", "dokcer", ["docker", "local"]),
        NotCoveredError: ("parsl.channels", "it was given up"),
        MissingExtraError: ("The provider 'docker'", "docker"),
        DependencyError: ("Task 2 (b)", "Task 1 (a)", ValueError("no rows")),
        PropagatedError: ("Task 2 (b)", "Task 1 (a)", ValueError("no rows")),
        JoinError: ("Task 2 (b)", "Task 1 (a)", ValueError("no rows")),
        AppTimeout: ("sort", 2.5),
        InvalidRowsError: ("app1.predict", [{"loc": [0, "age"], "msg": "it must be a number", "type": "wrong_type"}]),
        MissingOutputs: ("sort", ["a.txt", "b.txt"]),
        BadCheckpoint: ("tasks.sqlite", "it is empty"),
        BashExitFailure: ("sort", 2, "sort x", "sort: no such file\n"),
        RemoteError: ("mine.Error", "no rows", "Traceback ...\nmine.Error: no rows"),
        TaskCutOff: ("Task 7 (predict)", "host n1, block 0"),
        WorkerLost: ("Task 7 (predict)", "host n1, block 0, worker 1", -9, "Killed"),
    }
    return [cls(*special.get(cls, ("what happened",))) for cls in CLASSES]


@pytest.mark.parametrize("error", examples(), ids=lambda error: type(error).__name__)
def test_error_survives_pickling(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert str(error)


def test_unknown_name_error_suggests_the_nearest_name_and_lists_all():
    error = UnknownNameError("provider", "kubernets", ["docker", "kubernetes"])
    assert str(error) == ("No provider is called 'kubernets'. Did you mean 'kubernetes'? Known: docker, kubernetes.")


def test_unknown_name_error_lists_all_names_if_none_is_near():
    assert str(UnknownNameError("executor", "zzz", ["htex"])) == "No executor is called 'zzz'. Known: htex."
    assert str(UnknownNameError("executor", "zzz", [])) == "No executor is called 'zzz'. Known: none."


def test_missing_extra_error_shows_the_command_that_installs_it():
    assert str(MissingExtraError("The provider 'docker'", "docker")).endswith("Run: pip install 'cnflow[docker]'")


def test_dependency_error_shows_the_chain_and_its_root_cause():
    root = ValueError("no rows")
    first = DependencyError("Task 2 (split)", "Task 1 (read)", root)
    second = DependencyError("Task 3 (train)", "Task 2 (split)", first)
    assert second.root_cause is root
    assert second.chain() == ["Task 1 (read)", "Task 2 (split)", "Task 3 (train)"]
    assert str(second) == (
        "Task 3 (train) was not run. Root cause: ValueError: no rows\n"
        "  task 1 (read) -> task 2 (split) -> task 3 (train)"
    )


def test_root_cause_without_text_is_shown_by_its_class():
    assert "Root cause: KeyboardInterrupt\n" in str(DependencyError("Task 1 (b)", "Task 0 (a)", KeyboardInterrupt()))


def test_dependency_error_keeps_its_root_cause_when_pickled():
    error = DependencyError("Task 3 (c)", "Task 2 (b)", DependencyError("Task 2 (b)", "Task 1 (a)", ValueError("no")))
    copy = pickle.loads(pickle.dumps(error))
    assert copy.chain() == error.chain()
    assert repr(copy.root_cause) == "ValueError('no')"


@pytest.mark.parametrize(
    ("exitcode", "words"),
    [(3, "exited with code 3"), (-9, "was killed by signal 9 (SIGKILL)"), (-63, "was killed by signal 63")],
)
def test_worker_lost_shows_exit_code_or_signal_and_the_last_lines(exitcode, words):
    error = WorkerLost("Task 7 (predict)", "host n1, block 0, worker 1", exitcode, "one\ntwo\n")
    assert str(error) == (
        f"Task 7 (predict) ended its worker, which {words} (host n1, block 0, worker 1).\n"
        "The last lines of its stderr:\n    one\n    two"
    )


def test_worker_lost_without_output_mentions_no_stderr():
    assert "stderr" not in str(WorkerLost("Task 7 (predict)", "host n1", 1))


@pytest.mark.parametrize(("exitcode", "words"), [(2, "exited with code 2"), (-15, "was killed by signal 15")])
def test_bash_exit_failure_shows_the_command_and_its_stderr(exitcode, words):
    error = BashExitFailure("sort", exitcode, "sort x", "sort: no such file\n")
    assert str(error) == (
        f"bash_app sort {words}. Its command was:\n    sort x\nThe last lines of its stderr:\n    sort: no such file"
    )


def test_failures_of_apps_have_one_base_class():
    assert all(issubclass(cls, AppFailedError) for cls in (BashExitFailure, BashAppNoReturn, RemoteError))


def test_remote_error_shows_the_traceback_first():
    error = RemoteError("mine.Error", "no rows", "Traceback ...\nmine.Error: no rows")
    assert str(error).startswith("Traceback ...\nmine.Error: no rows\n")


def test_errors_of_apps_have_the_attributes_that_scripts_for_parsl_read():
    failed = errors.BashExitFailure("fit", 3, "exit 3")
    assert (failed.exitcode, failed.retries, failed.reason) == (3, 0, str(failed))
    assert errors.AppFailure("no luck", 7, retries=2).reason == "no luck"
    copy = pickle.loads(pickle.dumps(errors.AppFailure("no luck", 7, retries=2)))
    assert (copy.exitcode, copy.retries) == (7, 2)
    missing = errors.MissingOutputs("fit", ["a.txt"])
    assert (missing.reason, missing.outputs) == (str(missing), ["a.txt"])
    behind = errors.DependencyError("Task 2 (g)", "Task 1 (f)", failed)
    assert behind.dependent_exceptions == [failed]


def test_password_in_a_url_is_masked_in_every_error():
    assert str(ConfigurationError("ftp://ann:secret@host/x is no file")) == "ftp://***@host/x is no file"
    error = StagingError("no", url="ftp://ann:secret@host/x", step="stage in", tries=3)
    copied = pickle.loads(pickle.dumps(error))
    assert (copied.args, copied.url, copied.step, copied.tries) == (("no",), "ftp://***@host/x", "stage in", 3)
