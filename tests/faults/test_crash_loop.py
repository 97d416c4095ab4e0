"""An interchange that crashes again and again, for a cause that passes or does not."""

import contextlib
import itertools
import os
import signal
import threading
import time

import pytest

from cnflow.errors import InterchangeLostError


@pytest.fixture
def crash_loop(processes):
    """Kills each interchange of *dfk* as soon as it is there; a context, which yields the moments."""

    @contextlib.contextmanager
    def loop(dfk):
        connection = dfk.executors["htex"]._client._connection
        is_over, killed = threading.Event(), {}

        def kill():
            while not is_over.wait(0.02):
                pid = getattr(connection._process, "pid", None)
                if pid is not None and pid not in killed:
                    killed[pid] = time.monotonic()
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

        thread = threading.Thread(target=kill)
        thread.start()
        try:
            yield killed
        finally:
            is_over.set()
            thread.join()

    return loop


def test_crash_loop_that_passes_within_seconds_loses_no_task(load, ledger, crash_loop):
    with load(heartbeat_period=5, heartbeat_threshold=20) as dfk:
        _, _, manager = ledger.app(0, 0).result(30)
        futures = [ledger.app(n, 0.05) for n in range(1, 50)]
        with crash_loop(dfk) as killed:
            time.sleep(3)
        assert [future.result(60)[::2] for future in futures] == [(n, manager) for n in range(1, 50)]
        assert len(killed) >= 3
    assert ledger.runs() == dict.fromkeys(range(50), 1)


def test_crash_loop_without_end_fails_the_tasks_with_the_end_of_the_log(load, ledger, crash_loop):
    with load(heartbeat_period=5, heartbeat_threshold=20) as dfk:
        ledger.app(0, 0).result(30)
        future = ledger.app(1, 60)
        with crash_loop(dfk) as killed, pytest.raises(InterchangeLostError, match="after 5 restarts") as raised:
            future.result(60)
        assert "The last lines of its log:" in str(raised.value)
        moments = sorted(killed.values())
        pauses = [after - before for before, after in itertools.pairwise(moments)]
        assert len(pauses) == 5
        assert pauses[0] < pauses[-1], "the first restart is at once"
        assert sum(pauses) > 5
