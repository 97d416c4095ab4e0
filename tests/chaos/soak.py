"""Soak: a run of many tasks under faults, checked against the ledger that the tasks write.

::

    submitter thread ── tasks ──> cnflow ──> workers ── "begin", "end TOKEN" ──> ledger (a shared file)
    striker thread ── a fault each second ──> workers, managers, interchange, containers
    at the end: each future is done, with the value of a try that the ledger has; no task was reported twice;
    no process or container is left ──> Report
"""

import os
import random
import statistics
import threading
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from faults import Fault
from faulty_provider import FaultyLocalProvider
from machines import Machines
from pods import Pods
from world import LABEL, Ledger, World, children, wait_until

import cnflow
from cnflow import Config, python_app
from cnflow.config import DockerProvider, HighThroughputExecutor, Listen, LocalProvider
from tests.namespaces import Node

NODE_CLOCK = "NODE_CLOCK_SHIFT"
"""Variable with the file that has the shift of the nodes' clocks."""

THRESHOLD = 3.0
"""Heartbeat threshold in seconds."""

KINDS = {"short": 86, "long": 8, "failing": 4, "huge": 2}
"""Tasks of each kind in a hundred."""

HUGE = 3 * 2**20
"""Bytes of the argument and of the result of a huge task."""

MAX_PENDING = 60
"""Maximum number of unfinished tasks."""

NODES = 2
"""Nodes on networks of their own. The last one lets no connection out: its managers listen."""

MOST_RESTARTS, RESTART_WINDOW = 4, 65.0
"""Restarts of interchanges in so many seconds: one less than a run allows, since others may be restarted, too."""

DRAIN_TIMEOUT = 120.0
"""Seconds after the last fault within which every future must be done."""


class Plan(NamedTuple):
    tasks: int
    seconds: float
    """Time over which tasks are submitted."""

    seed: int
    folder: Path
    faults: list[Fault]
    interval: float = 1.0
    """Seconds between two faults."""

    image: str = ""
    """Image of containers for some of the tasks; empty for none."""

    has_nodes: bool = False
    """Some of the tasks run on nodes on networks of their own, which needs root."""

    pods: Pods | None = None
    """Namespace of a cluster for some of the tasks."""

    machines: Machines | None = None
    """Machines of a cloud for some of the tasks."""


class Strike(NamedTuple):
    fault: Fault
    at: float
    tasks: list[int]
    """Tasks that ran there."""


class Row(NamedTuple):
    """Results for one kind of fault."""

    fault: str
    times: int
    hit: int
    lost: int
    doubled: int
    recovery: float | None
    """Median seconds until all tasks that ran there had begun again, or were done."""


class End(NamedTuple):
    """How a task ended, without its value."""

    kind: str
    tid: int
    token: str
    error: BaseException | None


class Report(NamedTuple):
    """Results of a soak."""

    tasks: int
    kinds: Counter
    lost: list[int]
    """Tasks that are not done, or failed unexpectedly."""

    doubled: list[int]
    """Tasks that were reported as done more than once."""

    wrong: list[int]
    """Tasks with a value that no try of them returned."""

    repeated: int
    """Tasks of which more than one try finished: all but one result were dropped."""

    left: list[int]
    """Processes that were left after the run."""

    rows: list[Row]
    seconds: float
    errors: list[str]
    """Errors of the lost tasks."""

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.doubled or self.wrong or self.left)


def _local(blocks: int, kind: type[LocalProvider] = LocalProvider, **settings) -> LocalProvider:
    """Provider of *blocks* blocks, whose wall clock is the nodes'."""
    clock = os.environ.get(NODE_CLOCK, "")
    init = f"export CLOCK_SHIFT={clock}" if clock else ""
    return kind(init_blocks=blocks, max_blocks=blocks, worker_init=init, **settings)


def clocks() -> dict[str, Path]:
    """Files with the shifts of clocks; none where this process was started without the library."""
    files = {"driver": os.environ.get("CLOCK_SHIFT"), "node": os.environ.get(NODE_CLOCK)}
    return {side: Path(file) for side, file in files.items() if file and os.environ.get(NODE_CLOCK)}


def make_app(path: str, executor: str):
    @python_app(executors=[executor])
    def work(task, kind, seconds, load):
        import os
        import socket
        import time

        token = f"{os.getpid()}-{time.monotonic_ns()}"

        def write_line(event, *more):
            fields = [event, task, time.monotonic(), socket.gethostname(), os.getpid(), os.getppid(), *more]
            ledger = os.open(path, os.O_WRONLY | os.O_APPEND)
            os.write(ledger, (" ".join(map(str, fields)) + "\n").encode())
            os.close(ledger)

        write_line("begin")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(min(0.02, seconds))
        write_line("end", token)
        if kind == "failing":
            raise ValueError(token)
        return token, load[::-1]

    return work


class Soak:
    """One soak."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._chance = random.Random(plan.seed)
        self._label = uuid.uuid4().hex if plan.image else ""
        plan.folder.mkdir(parents=True, exist_ok=True)
        shared = plan.folder / "shared"
        shared.mkdir()
        shared.chmod(0o777)
        self._ledger = Ledger(shared / "ledger")
        self._nodes = [Node(plan.folder) for _ in range(NODES)] if plan.has_nodes else []
        for node in self._nodes[-1:]:
            node.refuse_new_connections()
        self._world = World(self._ledger, THRESHOLD, self._label, self._nodes, clocks(), plan.pods)
        self._world.machines = plan.machines
        self._futures: dict[int, tuple[str, cnflow.AppFuture]] = {}
        """Tasks that are not done."""

        self._ends: dict[int, End] = {}
        self._done_at: dict[int, float] = {}
        self._reports: Counter = Counter()
        """Number of times that an executor reported each task as done."""

        self._strikes: list[Strike] = []

    def run(self) -> Report:
        begin = time.monotonic()
        before = set(children(os.getpid()))
        with cnflow.load(self._config()) as dfk:
            self._count_reports(dfk)
            apps = {"htex": make_app(str(self._ledger.path), "htex")}
            for label in self._far_labels:
                apps[label] = make_app(str(self._ledger.path), label)
            if self._plan.image:
                apps["boxes"] = make_app("/shared/ledger", "boxes")
            if self._plan.pods:
                apps["pods"] = make_app("/shared/ledger", "pods")
            if self._plan.machines:
                apps["machines"] = make_app("/shared/ledger", "machines")
            for app in apps.values():
                app(-1, "short", 0, b"").result(180)  # blocks have started before the first fault
            over = threading.Event()
            striker = threading.Thread(target=self._strike, args=(over,), name="striker")
            striker.start()
            try:
                self._submit(apps)
            finally:
                over.set()
                striker.join()
            self._world.wait_for_scheduled()
            wait_until(lambda: not self._futures, DRAIN_TIMEOUT)
            dfk.cleanup()
        for node in self._nodes:
            node.remove()
        wait_until(lambda: not set(children(os.getpid())) - before and not self._world.containers(), 15)
        left = sorted(set(children(os.getpid())) - before) + [0 for _ in self._world.containers()]
        if self._plan.pods:
            wait_until(lambda: not self._plan.pods.left(), 60)
            left += [0 for _ in self._plan.pods.left()]
        if self._plan.machines:
            wait_until(lambda: not self._plan.machines.left(), 60)
            left += [0 for _ in self._plan.machines.left()]
        return self._report(left, time.monotonic() - begin)

    def _config(self) -> Config:
        timing = {"heartbeat_period": THRESHOLD / 5, "heartbeat_threshold": THRESHOLD, "max_workers": 1}
        executors = [HighThroughputExecutor(provider=_local(3, FaultyLocalProvider, seed=self._plan.seed), **timing)]
        for label, node in zip(self._far_labels, self._nodes, strict=True):
            provider = _local(2, python=str(node.python))
            way = {"way": Listen()} if node is self._nodes[-1] else {"address": node.host}
            executors.append(HighThroughputExecutor(label=label, provider=provider, **way, **timing))
        if self._plan.image:
            mounts = {str(self._ledger.path.parent): "/shared"}
            create = {"labels": {LABEL: self._label}}
            boxes = DockerProvider(init_blocks=2, max_blocks=2, mounts=mounts, create=create)
            executors.append(HighThroughputExecutor(label="boxes", image=self._plan.image, provider=boxes, **timing))
        if self._plan.pods:
            provider = self._plan.pods.provider(self._ledger.path.parent)
            address = self._plan.pods.cluster.host
            executors.append(
                HighThroughputExecutor(label="pods", provider=provider, address=address, **self._pod_timing)
            )
        if self._plan.machines:
            provider = self._plan.machines.provider(self._ledger.path.parent)
            executors.append(HighThroughputExecutor(label="machines", provider=provider, **timing))
        return Config(
            executors=executors,
            run_dir=str(self._plan.folder / "runinfo"),
            max_pending=MAX_PENDING,
            retries=1000,
            retry_handler=lambda error, _: 2000 if isinstance(error, ValueError) else 1,
            initialize_logging=True,
        )

    @property
    def _pod_timing(self) -> dict:
        """Options of the executor of pods, whose interchange is beside the driver, where faults strike at it."""
        period = {"heartbeat_period": THRESHOLD / 5, "heartbeat_threshold": 2 * THRESHOLD}
        return {"interchange": "driver", "max_workers": 1, "cores_per_worker": 0.05, **period}

    @property
    def _far_labels(self) -> list[str]:
        return [f"far{number}" for number, _ in enumerate(self._nodes)]

    def _count_reports(self, dfk: cnflow.DataFlowKernel) -> None:
        """Count reports of executors, because the DataFlowKernel drops a second report of a task."""
        for executor in dfk.executors.values():
            report = executor._report
            executor._report = lambda outcomes, report=report: (self._count(outcomes), report(outcomes))

    def _count(self, outcomes) -> None:
        self._reports.update(outcome.id for outcome in outcomes if outcome.error is None)

    def _submit(self, apps) -> None:
        plan, chance = self._plan, self._chance
        begin = time.monotonic()
        kinds = chance.choices(list(KINDS), list(KINDS.values()), k=plan.tasks)
        for number, kind in enumerate(kinds):
            pause = begin + plan.seconds * number / plan.tasks - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            seconds = chance.uniform(0.2, 0.8) if kind == "long" else chance.choice([0, 0, 0.005, 0.02])
            load = chance.randbytes(HUGE if kind == "huge" else 20)
            where = chance.choice(list(apps))
            future = apps[where](number, kind, seconds, load)
            self._futures[number] = (kind, future)
            future.add_done_callback(lambda future, number=number, load=load: self._check(number, load, future))

    def _check(self, number: int, load: bytes, future) -> None:
        self._done_at[number] = time.monotonic()
        error = future.exception()
        if error is None and future.result()[1] != load[::-1]:
            self._reports[f"wrong {number}"] += 1
        kind, _ = self._futures[number]
        self._ends[number] = End(kind, future.tid, str(error) if error else future.result()[0], error)
        del self._futures[number]  # half an hour of results does not fit into memory

    def _strike(self, over: threading.Event) -> None:
        chance = random.Random(self._plan.seed + 1)
        faults = [fault for fault in self._plan.faults if self._label or not fault.in_containers]
        restarts: list[float] = []
        while not over.wait(self._plan.interval):
            at = time.monotonic()
            restarts = [moment for moment in restarts if at - moment < RESTART_WINDOW]
            ready = [fault for fault in faults if len(restarts) + fault.restarts <= MOST_RESTARTS or not fault.restarts]
            fault = chance.choices(ready, [fault.weight for fault in ready])[0]
            restarts += [at] * fault.restarts
            tasks = fault.strike(self._world, chance)
            if tasks is not None:
                self._strikes.append(Strike(fault, at, tasks))

    def _report(self, left: list[int], seconds: float) -> Report:
        ledger = self._ledger
        ledger.read_new()
        lost, wrong, errors = [], [], []
        for number, (kind, future) in list(self._futures.items()):
            self._ends[number] = End(kind, future.tid, "", TimeoutError("never done"))
        for number, (kind, _, token, error) in self._ends.items():
            if isinstance(error, ValueError) if kind == "failing" else error is None:
                if token not in ledger.ended.get(number, []) or self._reports[f"wrong {number}"]:
                    wrong.append(number)
            else:
                lost.append(number)
                errors.append(f"{number} ({kind}): {type(error).__name__}: {error}")
        doubled = [end.tid for end in self._ends.values() if self._reports[end.tid] > 1]
        repeated = sum(len(tokens) > 1 for tokens in ledger.ended.values())
        kinds = Counter(end.kind for end in self._ends.values())
        rows = [self._row(fault, set(lost), set(doubled)) for fault in self._plan.faults]
        rows = [row for row in rows if row.times]
        return Report(len(self._ends), kinds, lost, doubled, wrong, repeated, left, rows, seconds, errors)

    def _row(self, fault: Fault, lost: set[int], doubled: set[int]) -> Row:
        strikes = [strike for strike in self._strikes if strike.fault is fault]
        hit = [task for strike in strikes for task in strike.tasks]
        times = [self._recovery_time(strike) for strike in strikes if strike.tasks]
        recovery = statistics.median(times) if times else None
        return Row(fault.name, len(strikes), len(hit), len(lost & set(hit)), len(doubled & set(hit)), recovery)

    def _recovery_time(self, strike: Strike) -> float:
        """Seconds until the last task that ran there had begun again, or was done."""

        def moment(task: int) -> float:
            begun = [at for at in self._ledger.started.get(task, []) if at > strike.at]
            return min([*begun, self._done_at.get(task, float("inf"))])

        return max(moment(task) for task in strike.tasks) - strike.at
