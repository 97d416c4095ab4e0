"""Ends of scripts: tasks are waited for, or dropped with a word; failures that nobody asked about are told."""

import signal
import subprocess
import sys
import textwrap
import time

import pytest

import cnflow
from cnflow import Config
from cnflow.executors import HighThroughputExecutor

HEAD = """
    import sys, threading, time
    import cnflow
    from cnflow import Config, python_app
    from cnflow.executors import HighThroughputExecutor, ThreadPoolExecutor

    @python_app
    def nap(seconds, *after):
        time.sleep(seconds)
        print("done", flush=True)

    @python_app
    def fail(number, *after):
        raise ValueError(f"number {number}")
"""


@pytest.fixture
def start(tmp_path):
    """Starts a script, which begins with HEAD, in a folder of its own."""

    def run(script):
        path = tmp_path / "script.py"
        path.write_text(textwrap.dedent(HEAD) + textwrap.dedent(script))
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([sys.executable, str(path)], cwd=tmp_path, **pipes)

    return run


@pytest.fixture
def end_of(start):
    """Runs a script and returns its exit code, its output without line breaks, and the lines on stderr."""

    def run(script):
        process = start(script)
        out, err = process.communicate(timeout=60)
        return process.returncode, out.replace("\n", " ").rstrip(), err.splitlines()

    return run


WAITING = {
    "at its last line": "cnflow.load(); nap(0.3); nap(0.3)",
    "in worker processes": """
        cnflow.load(Config(executors=[HighThroughputExecutor(max_workers=1)]))
        for _ in range(2):
            nap(0.3).add_done_callback(lambda future: print("done", flush=True))
    """,
    "that callbacks submit": "cnflow.load(); nap(0.3).add_done_callback(lambda _: nap(0.1))",
    "that another thread submits later": """
        cnflow.load()
        threading.Thread(target=lambda: (time.sleep(0.5), nap(0.1), nap(0.1))).start()
    """,
    "that a pool of threads submits": """
        import concurrent.futures
        cnflow.load()
        pool = concurrent.futures.ThreadPoolExecutor(1)
        pool.submit(lambda: (nap(0.3).result(), nap(0.1).result()))
    """,
    "after sys.exit": "cnflow.load(); nap(0.3); nap(0.1); sys.exit(0)",
    "after clear": "cnflow.load(); nap(0.3); nap(0.1); cnflow.clear()",
    "of a pool": """
        pool = cnflow.PoolExecutor()
        pool.submit(nap.__wrapped__, 0.3); pool.submit(nap.__wrapped__, 0.1)
    """,
    "of an app that starts threads": """
        from concurrent.futures import ThreadPoolExecutor as Threads

        @python_app
        def uses_threads():
            time.sleep(0.3)
            with Threads(2) as pool:
                list(pool.map(lambda _: print("done", flush=True), range(2)))

        cnflow.load()
        uses_threads()
    """,
}


@pytest.mark.parametrize("script", WAITING.values(), ids=WAITING)
def test_script_without_with_waits_for_its_tasks(end_of, script):
    code, printed, errors = end_of(script)
    # Threads that print at one moment may print both words before the ends of their lines.
    assert (code, printed.replace(" ", ""), errors) == (0, "donedone", [])


def not_done(number, why, total):
    were = "1 task was" if number == 1 else f"{number} tasks were"
    return f"cnflow: {were} not done when the run ended ({why}), and dropped, of {total} in all. The first: task "


DROPPING = {
    "an error": ("cnflow.load(); nap(0.5); nap(0, nap(0)); 1 / 0", 1, "the script raised ZeroDivisionError"),
    "exit_mode cleanup": (
        "cnflow.load(Config(exit_mode='cleanup')); nap(0.5); nap(0, nap(0))",
        0,
        "the script ended, and exit_mode='cleanup'",
    ),
    "exit_mode skip": (
        "cnflow.load(Config(exit_mode='skip')); nap(0.5); nap(0, nap(0))",
        0,
        "the script ended, and exit_mode='skip'",
    ),
    "sys.exit in with": (
        """
        with cnflow.load():
            nap(0.5); nap(0, nap(0)); sys.exit(3)
        """,
        3,
        "its block raised SystemExit",
    ),
    "cleanup": ("dfk = cnflow.load(); nap(0.5); nap(0, nap(0)); dfk.cleanup()", 0, "cleanup() was called"),
}


@pytest.mark.parametrize(("script", "code", "why"), DROPPING.values(), ids=DROPPING)
def test_tasks_that_an_end_drops_are_counted_in_a_line(end_of, script, code, why):
    one_thread = "ThreadPoolExecutor(max_threads=1)"
    script = script.replace("load()", f"load(Config(executors=[{one_thread}]))")
    script = script.replace("Config(exit", f"Config(executors=[{one_thread}], exit")
    got, _, lines = end_of(script)
    assert got == code
    assert [line for line in lines if line.startswith("cnflow:")] == [not_done(3, why, 3) + "0 (nap)"]


def test_ctrl_c_ends_the_wait_at_the_end_of_a_script(start):
    process = start("""
        import atexit, os
        cnflow.load()
        atexit.register(print, "another exit call", flush=True)
        nap(0.1)

        @python_app
        def interrupt():
            time.sleep(0.5)
            os.kill(os.getpid(), 2)
            time.sleep(0.5)

        interrupt()
        nap(0, __import__("concurrent.futures").futures.Future())
    """)
    out, err = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT, "a pipeline must not go on"
    assert out.splitlines() == ["done", "another exit call"]
    assert err.splitlines() == [not_done(2, "its end was interrupted", 3) + "1 (interrupt)"]


def test_failures_that_nobody_asked_about_are_told_in_one_line(end_of):
    script = """
        with cnflow.load():
            assert "number 0" in str(fail(0).exception())
            first = fail(1)
            fail(2, fail(3, first))
            for n in (4, 5):
                fail(n)
            cancelled = nap(0, __import__("concurrent.futures").futures.Future())
            cancelled.cancel()
    """
    message = (
        "cnflow: 3 tasks have failed, 2 more were not run because of that, and nobody asked for their results. "
        "The first: task 1 (fail): ValueError: number 1"
    )
    assert end_of(script) == (0, "", [message])


def test_failures_that_were_asked_about_are_not_told(end_of):
    script = """
        import asyncio, concurrent.futures

        async def wait(future):
            await asyncio.wrap_future(future)

        with cnflow.load():
            futures = [fail(0), fail(1, fail(2)), fail(3)["part"]]
            for future in concurrent.futures.as_completed(futures):
                try:
                    future.result()
                except Exception:
                    pass
            try:
                asyncio.run(wait(fail(4)))
            except ValueError as error:
                print(error)
    """
    assert end_of(script) == (0, "number 4", [])


FORKING = """
    import concurrent.futures, os

    def show(what, call):
        try:
            print(what, call(), flush=True)
        except BaseException as error:
            print(what, type(error).__name__, str(error).replace(str(parent), "P").split("process ")[-1], flush=True)

    @python_app
    def double(number, seconds=0.0):
        time.sleep(seconds)
        return {"number": 2 * number}

    parent = os.getpid()
    with cnflow.load(Config(executors=[EXECUTOR])) as dfk:
        done, pending = double(1), double(2, 1.0)
        done.result()
        part = pending["number"]
        called = []
        pending.add_done_callback(lambda future: called.append(future))
        child = os.fork()
        if not child:
            show("call", lambda: double(3))
            show("submit", lambda: dfk.submit(double, (3,), {}))
            show("wait", lambda: len(concurrent.futures.wait([pending, part], 10).done))
            show("pending", pending.result)
            show("part", part.result)
            show("done", done.result)
            show("cancel", pending.cancel)
            show("called", lambda: called)
            dfk.cleanup()
            with cnflow.load(Config(executors=[EXECUTOR])):
                show("own run", lambda: double(5).result(20))
            sys.exit(4)
        print("exit", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        print("parent", part.result(20), double(4).result(20), flush=True)
"""


@pytest.mark.parametrize("executor", ["ThreadPoolExecutor()", "HighThroughputExecutor(max_workers=1)"])
def test_forked_child_is_refused_and_leaves_the_run_of_its_parent_alone(start, executor):
    out, err = start(FORKING.replace("EXECUTOR", executor)).communicate(timeout=60)
    goes_on = "NoDataFlowKernelError P and goes on there alone. Call cnflow.load() in this process, after the fork."
    assert out.splitlines() == [
        f"call {goes_on}",
        f"submit {goes_on}",
        "wait 2",
        f"pending {goes_on}",
        f"part {goes_on}",
        "done {'number': 2}",
        "cancel False",
        "called []",
        "own run {'number': 10}",
        "exit 4",
        "parent 4 {'number': 8}",
    ]
    assert err == ""


RETURNING_CHILDREN = """
    import os

    @python_app
    def fork(how):
        child = os.fork()
        if child:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if how == "raises":
            raise RuntimeError("in the child")
        return "of the child"

    with cnflow.load(Config(executors=[ThreadPoolExecutor(max_threads=1)])):
        print(fork("returns").result(20), fork("raises").result(20), flush=True)
"""


def test_child_that_a_task_in_a_thread_forks_ends_with_the_task(start):
    process = start(RETURNING_CHILDREN)
    assert process.communicate(timeout=60) == ("0 1\n", "")


STUCK = """
    cnflow.load()
    nap(0).add_done_callback(lambda _: (print("waits", flush=True), time.sleep(600)))
"""


TOLD = "cnflow: 1 callback of a future has not returned when the run ended; the end of the process ends it"


@pytest.mark.parametrize(
    ("last", "is_told"),
    [("", True), ("time.sleep(0.5); cnflow.dfk().cleanup()", True), ("cnflow.dfk().cleanup()", False)],
    ids=["in the wait at the end", "in cleanup()", "in cleanup() that calls it"],
)
def test_ctrl_c_ends_a_run_whose_callback_never_returns(start, last, is_told):
    process = start(STUCK + "    " + last)
    while process.stdout.readline() != "waits\n":
        pass
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert not is_told or TOLD in err.splitlines()


def test_error_ends_a_run_whose_callback_never_returns(end_of):
    code, out, err = end_of(STUCK + "    time.sleep(0.5); raise ValueError(1)")
    assert (code, out) == (1, "done waits")
    assert err[-2:] == ["ValueError: 1", TOLD]


def test_run_that_a_callback_ends_names_cleanup(end_of):
    code, _, err = end_of("dfk = cnflow.load(); nap(0).add_done_callback(lambda _: dfk.cleanup()); nap(1.0)")
    assert code == 0
    (line,) = err
    assert "when the run ended (cleanup() was called)" in line


def test_daemon_thread_that_submits_for_ever_does_not_keep_the_script_from_ending(end_of):
    code, _, err = end_of("""
        def submit_for_ever():
            while True:
                nap(0.05).result()

        cnflow.load()
        threading.Thread(target=submit_for_ever, daemon=True).start()
        nap(1.0)
        time.sleep(0.3)
    """)
    assert code == 0
    assert any("nap was called by a daemon thread after the script had ended" in line for line in err)


class TestEndOfWorkers:
    """Exit calls and open files that tasks leave in their worker."""

    @pytest.fixture
    def run(self, tmp_path):
        """Runs a function in a worker, ends the run, and returns the time that this took."""

        def call(function, *args):
            executor = HighThroughputExecutor(max_workers=1)
            with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runs"))):
                cnflow.python_app(function)(*args).result(30)
                begin = time.monotonic()
            return time.monotonic() - begin

        return call

    def test_exit_calls_are_made_and_files_written(self, run, tmp_path):
        def leave(folder):
            import atexit
            import builtins
            from pathlib import Path

            def at_exit():
                print("printed at exit", flush=True)  # noqa: T201 - into the log of the block
                Path(folder, "at_exit").touch()

            atexit.register(at_exit)
            builtins.left_open = Path(folder, "left_open").open("w")  # noqa: SIM115 - left open on purpose
            builtins.left_open.write("one line\n")

        run(leave, str(tmp_path))
        assert (tmp_path / "at_exit").exists()
        assert (tmp_path / "left_open").read_text() == "one line\n"
        (log,) = tmp_path.glob("runs/*/htex/block-0.log")
        assert "printed at exit" in log.read_text()

    def test_exit_call_that_never_returns_is_ended(self, run):
        def leave():
            import atexit
            import threading
            import time

            atexit.register(time.sleep, 600)
            threading.Thread(target=time.sleep, args=[600]).start()

        assert run(leave) < 15
