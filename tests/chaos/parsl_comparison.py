"""Compares Parsl and cnflow: the fate of tasks when a worker, a manager or the interchange is killed.

Parsl: ``python tests/chaos/parsl_comparison.py`` in an environment with Parsl.
cnflow, on the same script: ``cnflow run --parsl tests/chaos/parsl_comparison.py``.
"""

import collections
import concurrent.futures
import os
import signal
import tempfile
import time
from pathlib import Path

import parsl
from parsl import Config, python_app
from parsl.executors import HighThroughputExecutor
from parsl.providers import LocalProvider

TASKS = 12
SECONDS = 0.5
TIMEOUT = 60.0
"""Seconds after which an unfinished task counts as lost."""


@python_app
def work(seconds):
    import os
    import time

    time.sleep(seconds)
    return os.getpid()


def config(retries):
    executor = HighThroughputExecutor(
        label="htex",
        max_workers_per_node=1,
        cores_per_worker=0.1,
        heartbeat_period=1,
        heartbeat_threshold=4,
        address="127.0.0.1",
        encrypted=False,
        provider=LocalProvider(init_blocks=2, min_blocks=2, max_blocks=2),
    )
    return Config(executors=[executor], retries=retries, run_dir=tempfile.mkdtemp(), strategy="simple")


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def manager_of(worker):
    """Process id of the manager of *worker*: the pool process of Parsl, or the manager of cnflow."""
    pid = worker
    while (above := parent_of(pid)) not in {1, os.getpid()}:
        pid = above
        words = Path(f"/proc/{pid}/cmdline").read_text()
        if ("process_worker_pool" in words or "cnflow/manager" in words) and "sh\0-c" not in words:
            break
    return pid


def find_interchange():
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if "interchange" in (folder / "cmdline").read_text() and parent_of(folder.name) == os.getpid():
                return int(folder.name)
        except OSError:
            continue
    raise LookupError("No interchange runs below this process.")


FAULTS = {
    "worker": lambda worker: worker,
    "manager": manager_of,
    "interchange": lambda _: find_interchange(),
}


def measure(victim, retries):
    parsl.load(config(retries))
    workers = {work(0.3).result(60) for _ in range(2)}
    time.sleep(1)
    futures = [work(SECONDS) for _ in range(TASKS)]
    time.sleep(SECONDS / 2)
    os.kill(FAULTS[victim](min(workers)), signal.SIGKILL)
    begin = time.monotonic()
    concurrent.futures.wait(futures, timeout=TIMEOUT)
    seconds = time.monotonic() - begin
    ends = collections.Counter(
        "never ended" if not future.done() else type(future.exception()).__name__ if future.exception() else "done"
        for future in futures
    )
    later = work(0)
    try:
        later.result(20)
        after = "further tasks run"
    except Exception as error:  # its type is the measurement
        after = f"a further task: {type(error).__name__}"
    summary = ", ".join(f"{count} {what}" for what, count in sorted(ends.items()))
    print(f"| {victim} killed (signal 9) | {retries} | {summary} | {seconds:.1f} s | {after} |", flush=True)


def main():
    print(f"{parsl.__name__} {parsl.__version__}: {TASKS} tasks of {SECONDS} s on two blocks of one worker")
    for victim in FAULTS:
        for retries in (0, 2):
            child = os.fork()  # a process per run, so that no run inherits from another
            if not child:
                try:
                    measure(victim, retries)
                finally:
                    os._exit(0)
            os.waitpid(child, 0)


if __name__ == "__main__":
    main()
