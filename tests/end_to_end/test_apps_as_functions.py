"""Apps whose functions have parameters, attributes and results of their own, in threads and in worker processes."""

import asyncio
import functools
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from concurrent.futures import CancelledError
from pathlib import Path

import cloudpickle
import pytest

import cnflow
from cnflow import AUTO_LOGNAME, Config, bash_app, join_app, python_app
from cnflow.capsule.contents import capsule_files, driver_root
from cnflow.errors import AppTimeout, ConfigurationError
from cnflow.executors import HighThroughputExecutor, ThreadPoolExecutor
from cnflow.providers import LocalProvider


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    one_worker = HighThroughputExecutor(label="processes", provider=LocalProvider(max_blocks=1), max_workers=1)
    executors = [one_worker, ThreadPoolExecutor(label="threads", max_threads=2)]
    with cnflow.load(Config(executors=executors, run_dir=str(tmp_path_factory.mktemp("run")))) as dfk:
        yield dfk
    cnflow.clear()


@pytest.fixture(params=["threads", "processes"])
def app(request, run):
    """Decorator of Python apps on one of the executors."""
    return python_app(executors=request.param)


# Keywords


class Arm:
    steps = 3


@pytest.mark.parametrize(
    "keyword", ["label", "env", "sandbox", "resources", "image", "cache", "priority", "retries", "self"]
)
@pytest.mark.parametrize("value", [1, "text", {"a": "1"}, True, None, [1, 2]], ids=str)
def test_argument_reaches_a_parameter_of_its_name(app, keyword, value):
    names = {}
    exec(f"def named({keyword}): return {keyword}\ndef any_name(**all): return all", names)
    assert app(names["named"])(**{keyword: value}).result(timeout=30) == value
    assert app(names["any_name"])(**{keyword: value}).result(timeout=30) == {keyword: value}


def test_argument_that_is_an_object_reaches_a_parameter_env(app):
    @app
    def rollout(env, seed=0):
        return env.steps + seed

    assert rollout(env=Arm(), seed=1).result(timeout=30) == 4
    assert rollout(Arm()).result(timeout=30) == 3


@pytest.mark.parametrize("values", [{"inputs": {"a": 1}}, {"inputs": 2.5}, {"outputs": 0.5}, {"outputs": {"a": 1}}])
def test_inputs_and_outputs_that_are_no_files_reach_the_function(app, values):
    @app
    def f(inputs=(), outputs=()):
        return inputs or outputs

    (value,) = values.values()
    assert f(**values).result(timeout=30) == value


def test_keywords_of_a_function_that_has_no_such_parameter_are_options(run):
    @python_app(executors="processes")
    def variable(name):
        import os

        return os.environ.get(name)

    assert variable("COLOUR", env={"COLOUR": "red"}, sandbox=True, label="x").result(timeout=30) == "red"


def test_options_of_a_function_with_such_parameters_are_given_by_options(run):
    @python_app(executors="processes")
    def variable(env, **more):
        import os

        return env, os.environ.get("COLOUR"), more

    red = variable.options(env={"COLOUR": "red"}, walltime=30.0)
    assert red(5, sandbox="x").result(timeout=30) == (5, "red", {"sandbox": "x"})
    assert red.options(env={"COLOUR": "blue"})(env=6).result(timeout=30) == (6, "blue", {})
    assert variable(7).result(timeout=30) == (7, None, {})
    assert red.options(executors="threads", env=None)(8).result(timeout=30) == (8, None, {})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"waltime": 5}, "f.options has no option 'waltime'. Did you mean 'walltime'"),
        ({"env": 5}, "f.options(env=...) must be a dict of names and values, not 5."),
        ({"pipefail": True}, "f.options has no option 'pipefail'"),
        ({"cache": "yes"}, "f.options(cache=...) must be True or False"),
    ],
)
def test_wrong_options_are_refused(options, said):
    @python_app
    def f():
        pass

    with pytest.raises(ConfigurationError) as refusal:
        f.options(**options)
    assert str(refusal.value).startswith(said)


def test_label_that_is_any_text_is_a_safe_part_of_a_name(run):
    @bash_app(executors="threads")
    def classify(text, label, stdout=AUTO_LOGNAME):
        return "echo x"

    for label in ("cat", "../" * 40 + "etc", "long " * 200, 5):
        future = classify("t", label=label)
        assert future.result(timeout=30) == 0
        assert future.stdout.startswith(str(run.run_dir))
        assert ".." not in future.stdout.removeprefix(str(run.run_dir)).split("/")


# Attributes


class Objective:
    def __init__(self, **attributes):
        self.__dict__.update(attributes)

    def __call__(self, x):
        return 2 * x, sorted(vars(self))


OURS = ["_app", "_options", "_dfk", "_keywords", "_files", "_accepted", "_reserved", "_submit", "_bind", "_cnflow"]
PUBLIC = ["function", "options", "executors", "name", "kind", "__name__", "__doc__", "__code__", "__call__"]


@pytest.mark.parametrize("name", [*OURS, *PUBLIC, "__wrapped__", "__defaults__", "__get__", "__reduce__"])
def test_attribute_of_a_callable_is_its_own(app, name):
    made = app(Objective(**{name: "its own"}))
    assert made(2).result(timeout=30) == (4, [name])
    assert made.options(walltime=20.0)(2).result(timeout=30) == (4, [name])
    assert repr(made).startswith("<python_app ")
    if name in {"_app", "_options", "name"}:
        assert getattr(made, name) == "its own"


def test_attributes_of_a_function_are_those_of_its_app(app):
    @app
    @functools.lru_cache
    def cached(x):
        """Twice."""
        return 2 * x

    assert cached(2).result(timeout=30) == 4
    assert (cached.__name__, cached.__doc__) == ("cached", "Twice.")


class Hostile:
    __slots__ = ()

    def __call__(self, x):
        return x

    def __getattr__(self, name):
        raise KeyError(name)


def test_callable_that_refuses_attributes_is_an_app(run):
    assert python_app(executors="threads")(Hostile())(3).result(timeout=30) == 3


# Coroutines


async def fetch(x):
    await asyncio.sleep(0.001)
    return x + 1


class AsyncObject:
    async def __call__(self, x):
        return await fetch(x)

    async def method(self, x):
        return await fetch(x)


COROUTINES = {
    "function": fetch,
    "partial": functools.partial(fetch),
    "object": AsyncObject(),
    "method": AsyncObject().method,
    "function that returns one": lambda x, plain=fetch: plain(x),
    "wrapped": functools.wraps(fetch)(lambda x, plain=fetch: plain(x)),
}


@pytest.mark.parametrize("name", COROUTINES)
def test_coroutine_is_run_to_its_end(app, name):
    assert app(COROUTINES[name])(app(fetch)(1)).result(timeout=30) == 3


def test_error_of_a_coroutine_has_the_frames_of_the_user_alone(app):
    async def inner():
        raise ValueError("no")

    async def outer():
        await asyncio.gather(asyncio.sleep(0), inner())

    error = app(outer)().exception(timeout=30)
    assert isinstance(error, ValueError)
    if app is not python_app:  # the traceback of a worker is a text
        text = "".join([*getattr(error, "__notes__", []), *traceback.format_exception(error)])
        assert "in outer" in text
        assert "in inner" in text


def test_what_a_coroutine_leaves_running_ends_with_its_task(app):
    async def leaves():
        async def forever():
            try:
                await asyncio.sleep(1000)
            finally:
                ended.append(1)

        ended = []
        asyncio.get_running_loop().create_task(forever())
        await asyncio.sleep(0)
        return ended

    async def has_tasks():
        return len(asyncio.all_tasks())

    app(leaves)().result(timeout=30)
    assert app(has_tasks)().result(timeout=30) == 1


@pytest.mark.parametrize("how", ["walltime", "cancel"])
def test_coroutine_that_waits_in_its_loop_is_stopped(app, how):
    async def waits():
        await asyncio.sleep(1000)

    began = time.monotonic()
    future = app(waits).options(walltime=0.3 if how == "walltime" else None)()
    if how == "walltime":
        assert isinstance(future.exception(timeout=30), AppTimeout)
    else:
        time.sleep(0.3)
        future.cancel()
        with pytest.raises(CancelledError):
            future.result(timeout=30)
    assert time.monotonic() - began < 20


def test_bash_and_join_apps_may_be_coroutines(run, tmp_path):
    @bash_app(executors="processes")
    async def line(stdout=None):
        await asyncio.sleep(0)
        return "echo from a coroutine"

    square = python_app(executors="processes")(lambda x: x * x)

    @join_app
    async def total(n):
        first = await square(n)
        return [square(first), square(2)]

    assert line(stdout=str(tmp_path / "out")).result(timeout=30) == 0
    assert (tmp_path / "out").read_text() == "from a coroutine\n"
    assert total(2).result(timeout=30) == [16, 4]


def generator():
    yield 1


async def async_generator():
    yield 1


class Generates:
    def __call__(self):
        yield 1


@pytest.mark.parametrize("decorator", [python_app, bash_app, join_app])
@pytest.mark.parametrize(
    "function",
    [generator, async_generator, Generates(), functools.partial(generator)],
    ids=["generator", "async generator", "object", "partial"],
)
def test_generator_function_is_refused_when_it_is_decorated(decorator, function):
    with pytest.raises(ConfigurationError, match=r"generator function.*Return all of them"):
        decorator(function)


# Apps in tasks


def test_app_in_a_task_is_its_function(app):
    inner = python_app(lambda x: x + 1)
    line = bash_app(lambda x: f"echo {x}")
    joined = join_app(lambda x: [inner(x), inner(x + 1)])
    later = python_app(fetch)

    @app
    def outer(x):
        return inner(x), line(x), joined(x), inner.__name__

    @app
    async def outer_coroutine(x):
        return await later(x), inner(x)

    assert outer(1).result(timeout=30) == (2, "echo 1", [2, 3], "<lambda>")
    assert outer_coroutine(1).result(timeout=30) == (2, 2)


def test_app_of_a_module_in_a_task_is_its_function(app, tmp_path, monkeypatch):
    (tmp_path / "apps_of_a_module.py").write_text(
        "from cnflow import python_app\n@python_app\ndef inner(x):\n    return x + 1\n"
    )

    @app
    def outer(folder, x):
        sys.path.insert(0, folder)
        try:
            from apps_of_a_module import inner
        finally:
            sys.path.remove(folder)
        return inner(x)

    assert outer(str(tmp_path), 1).result(timeout=30) == 2


def test_callback_in_the_thread_of_a_task_submits(run):
    inner = python_app(executors="threads")(lambda x: x + 1)
    made = []
    done = threading.Event()
    future = inner(1)
    future.add_done_callback(lambda _: (made.append(inner(2)), done.set()))
    assert done.wait(30)
    assert made[0].result(timeout=30) == 3


MODULE = """
from cnflow import AUTO_LOGNAME, File, Resources, bash_app, join_app, python_app
from parsl import python_app as app_of_parsl

@python_app(cache=True, image="x")
def plain(x):
    return x + 1

@bash_app
def line(stdout=AUTO_LOGNAME):
    return "echo"

@join_app
def joined(x):
    return [plain(x), app_of_parsl(plain)(x)]
"""


def test_module_with_apps_can_be_imported_where_only_workers_are_installed(tmp_path):
    """As in a container, whose capsule has no decorators."""
    for name, path in capsule_files(driver_root()):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).symlink_to(path)
    (tmp_path / "apps_of_a_module.py").write_text(MODULE)
    code = f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        import cnflow.compat.parsl
        from apps_of_a_module import joined, line
        assert joined(1) == [2, 2] and line() == "echo"
        for statement in ("from cnflow import Config", "from parsl import Config"):
            try:
                exec(statement)
            except ModuleNotFoundError as error:
                assert "Config belongs to the driver" in str(error), error
            else:
                raise AssertionError(statement)
    """
    subprocess.run([sys.executable, "-I", "-S", "-c", textwrap.dedent(code)], check=True)


CONFIGURED = """
from cnflow import Config, python_app
from cnflow.config import LocalProvider
from cnflow.executors import HighThroughputExecutor

class OwnProvider(LocalProvider):
    pass

def make():
    return Config(executors=[HighThroughputExecutor(provider=OwnProvider(max_blocks=2))])

config = make()
label = config.executors[0].label

@python_app
def double(number):
    return 2 * number
"""


def test_module_that_configures_executors_can_be_imported_where_only_workers_are_installed(tmp_path):
    for name, path in capsule_files(driver_root()):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).symlink_to(path)
    packages = Path(cloudpickle.__file__).parents[1]
    code = f"""
        import sys
        sys.path[:0] = [{str(tmp_path)!r}, {str(packages)!r}]
        from cnflow.tasks.driver_names import stand_ins_while_importing
        module = {{}}
        with stand_ins_while_importing():
            exec({CONFIGURED!r}, module)
        assert module["double"](2) == 4
        for use in (module["make"], lambda: module["config"].executors, lambda: module["OwnProvider"].anything):
            try:
                use()
            except ModuleNotFoundError as error:
                assert "belongs to the driver" in str(error), error
            else:
                raise AssertionError(use)
        try:
            import cnflow.providers
        except ModuleNotFoundError:
            pass
        else:
            raise AssertionError("a stand-in outside of an import of a module")
    """
    subprocess.run([sys.executable, "-I", "-S", "-c", textwrap.dedent(code)], check=True)
