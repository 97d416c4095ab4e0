"""Whatever happens to a manager with calls of models, ordinary tasks and prepared models: each ends exactly once."""

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cnflow.manager.actions import (
    KillWorker,
    LoadModel,
    RestartWorker,
    SendBatch,
    SendFunction,
    SendTask,
    StartWorker,
    StopTask,
)
from cnflow.manager.prefetch import Prefetch
from cnflow.manager.state import Manager
from cnflow.wire.batch_records import LoadedRecord
from cnflow.wire.function_messages import Batching, Function
from cnflow.wire.manager_messages import Needs
from cnflow.wire.messages import Result, Task
from cnflow.wire.pipe import ResultKind

LIMITS = (Batching(4), Batching(8, 0.5), Batching(16, 0.1, 1.0), Batching(2, 0.0, 0.2, 2))
MODELS = [Function(bytes([n]) * 16, f"m{n}", 0, "", b"", (), limits) for n, limits in enumerate(LIMITS)]
PLAIN = Function(b"p" * 16, "p", 0, "", b"")
FUNCTIONS = {function.id: function for function in [*MODELS, PLAIN]}
WORKERS = 3
KINDS = (ResultKind.VALUE, ResultKind.VALUE, ResultKind.RAISED, ResultKind.UNANSWERED)


class Batches(RuleBasedStateMachine):
    """Workers with pipes of records, each of one task or of a batch."""

    @initialize(accelerators=st.sampled_from([0, WORKERS]))
    def begin(self, accelerators):
        self.now = 0.0
        self.tasks, self.ends, self.cancelled = {}, {}, set()
        self.pipes = {rank: [] for rank in range(WORKERS)}
        self.written = dict.fromkeys(range(WORKERS), 0)
        self.has, self.loading = {rank: set() for rank in range(WORKERS)}, {rank: [] for rank in range(WORKERS)}
        self.dying = set()
        self.state = Manager(WORKERS, Prefetch(None), "3.11", "h", accelerators)
        self.apply(self.state.on_start())

    def apply(self, actions):
        for action in actions:
            rank = getattr(action, "rank", None)
            if isinstance(action, StartWorker):
                self.pipes[rank], self.written[rank], self.loading[rank] = [], 0, []
                self.has[rank] = set()
                self.dying.discard(rank)
            elif isinstance(action, SendFunction):
                self.has[rank].update(function.id for function in action.functions)
            elif isinstance(action, SendTask):
                self.write(rank, [action.task[0]])
            elif isinstance(action, SendBatch):
                self.write(rank, [task for task, _ in action.tasks])
            elif isinstance(action, LoadModel):
                assert not self.pipes[rank], "it is busy"
                assert action.function in self.has[rank]
                self.loading[rank].append(action.function)
            elif isinstance(action, StopTask):
                record = self.pipes[rank][action.number - self.written[rank] + len(self.pipes[rank])]
                assert all(task.id in self.cancelled for task in record), "a call is stopped that is wanted"
            elif isinstance(action, (KillWorker, RestartWorker)):
                assert isinstance(action, RestartWorker) != bool(self.pipes[rank])
                self.dying.add(rank)

    def write(self, rank, tasks):
        assert rank not in self.dying
        assert not self.loading[rank], "it has not loaded its models"
        function = FUNCTIONS[tasks[0].function]
        assert function.id in self.has[rank]
        if function.batching is not None:
            assert not self.pipes[rank], "a batch has its worker for itself"
            assert len({(task.function, task.apart, task.walltime) for task in tasks}) == 1, "calls are mixed"
            assert len(tasks) == 1 or sum(task.rows for task in tasks) <= function.batching.max_batch
            assert len(tasks) == 1 or all(task.rows for task in tasks)
        else:
            assert len(tasks) == 1
            assert not self.pipes[rank] or FUNCTIONS[self.pipes[rank][0][0].function].batching is None
        self.pipes[rank].append(tasks)
        self.written[rank] += 1

    def turn(self):
        self.apply(self.state.dispatch(self.now))
        for result, _ in self.state.take_results():
            assert result.kind != ResultKind.UNANSWERED, "it is no end"
            if result.kind == ResultKind.PARTIAL:
                assert result.id not in self.ends
                continue
            assert result.id not in self.ends, "it has ended before"
            assert result.kind != ResultKind.CANCELLED or result.id in self.cancelled
            self.ends[result.id] = result.kind
        self.state.models.take_replies()

    @rule(
        count=st.integers(1, 12),
        function=st.sampled_from([*MODELS, PLAIN]),
        rows=st.sampled_from([0, 1, 1, 1, 3, 20]),
        kind=st.tuples(st.sampled_from(["", "", "b"]), st.booleans(), st.sampled_from([0, 0, 3])),
        needs=st.sampled_from([None, None, None, 2]),
    )
    def work_comes(self, count, function, rows, kind, needs):
        apart, is_bulk, walltime = kind
        first = len(self.tasks)
        has_accelerators = self.state._reserved.has_accelerators
        asks = Needs(1.0, 0, needs) if needs and has_accelerators else None
        new = [
            Task(number, function.id, b"", walltime=walltime, needs=asks, rows=rows, apart=apart, is_bulk=is_bulk)
            for number in range(first, first + count)
        ]
        self.tasks.update((task.id, task) for task in new)
        self.state.on_work(FUNCTIONS.values(), [(task, ()) for task in new])
        self.turn()

    @rule(models=st.sets(st.sampled_from(range(len(MODELS)))))
    def models_are_prepared(self, models):
        self.state.models.on_prepare([MODELS[n] for n in sorted(models)])
        self.turn()

    @rule(rank=st.integers(0, WORKERS - 1))
    def worker_is_ready(self, rank):
        worker = self.state.workers[rank]
        if not (worker.is_ready or worker.loading or worker.is_restarted or rank in self.dying):
            self.state.on_worker_ready(rank)
            self.turn()

    @precondition(lambda self: any(self.loading.values()))
    @rule(data=st.data(), error=st.sampled_from(["", "ImportError"]))
    def worker_has_loaded(self, data, error):
        rank = data.draw(st.sampled_from([rank for rank, models in self.loading.items() if models]))
        self.state.models.on_loaded(rank, LoadedRecord(self.loading[rank].pop(0), 1.0, error, b""))
        self.turn()

    @precondition(lambda self: any(self.pipes.values()))
    @rule(data=st.data(), kind=st.sampled_from(KINDS), is_partly=st.booleans(), seconds=st.sampled_from([0.001, 0.3]))
    def worker_answers(self, data, kind, is_partly, seconds):
        rank = data.draw(st.sampled_from([rank for rank, pipe in self.pipes.items() if pipe]))
        record = self.pipes[rank][0]
        if kind == ResultKind.UNANSWERED and FUNCTIONS[record[0].function].batching is None:
            kind = ResultKind.VALUE
        count = data.draw(st.integers(1, len(record))) if is_partly else len(record)
        answered, rest = record[:count], record[count:]
        self.pipes[rank] = [rest, *self.pipes[rank][1:]] if rest else self.pipes[rank][1:]
        self.now += seconds
        self.state.on_results(rank, [(Result(task.id, kind, b"", seconds), ()) for task in answered], self.now)
        self.turn()

    @precondition(lambda self: any(len(pipe) == 1 and len(pipe[0]) == 1 for pipe in self.pipes.values()))
    @rule(data=st.data())
    def worker_sends_a_piece(self, data):
        ranks = [
            rank
            for rank, pipe in self.pipes.items()
            if pipe and len(pipe[0]) == 1 and FUNCTIONS[pipe[0][0].function].batching is not None
        ]
        if ranks:
            rank = data.draw(st.sampled_from(ranks))
            self.state.on_results(rank, [(Result(self.pipes[rank][0][0].id, ResultKind.PARTIAL, b""), ())], self.now)
            self.turn()

    @rule(rank=st.integers(0, WORKERS - 1))
    def worker_dies(self, rank):
        held = {task.id for record in self.pipes[rank] for task in record}
        first = self.pipes[rank][0] if self.pipes[rank] else []
        before = {*self.ends}
        actions = self.state.on_worker_exit(rank, -9, "")
        self.pipes[rank] = []
        lost = [result.id for result, _ in self.state._results if result.kind == ResultKind.WORKER_LOST]
        assert not {*lost} & before
        assert all(len(first) == 1 and number == first[0].id for number in lost if number in held)
        self.apply(actions)
        self.turn()

    @precondition(lambda self: self.tasks)
    @rule(data=st.data())
    def calls_are_cancelled(self, data):
        ids = data.draw(st.sets(st.sampled_from(sorted(self.tasks)), min_size=1, max_size=10))
        self.cancelled |= ids
        self.apply(self.state.on_cancel(dict.fromkeys(ids, 0), self.now))
        self.turn()

    @rule(seconds=st.sampled_from([0.01, 0.2, 1.0, 6.0]))
    def time_passes(self, seconds):
        self.now += seconds
        self.apply(self.state.on_tick(self.now))
        self.turn()
        assert self.state.next_deadline > self.now, "the loop would turn for nothing"

    @rule(functions=st.just(None))
    def functions_are_forgotten(self, functions):
        self.state.forget_functions()
        self.state.on_work(FUNCTIONS.values(), [])

    @invariant()
    def every_task_is_in_exactly_one_place(self):
        if hasattr(self, "tasks"):
            places = [*self.state.held(), *self.state.stopping(), *self.ends]
            assert sorted(places) == sorted(self.tasks)

    @invariant()
    def no_worker_that_could_run_something_is_idle(self):
        if not hasattr(self, "tasks") or self.state._reserved.has_accelerators:
            return
        idle = [
            rank
            for rank, worker in self.state.workers.items()
            if worker.is_ready and not worker.tasks and rank not in self.dying
        ]
        waiting = self.state._batches.batcher.parcels()
        if idle and waiting:
            assert all(FUNCTIONS[task.function].batching.max_wait for task, _ in waiting), "it waits for nothing"
        assert not (idle and self.state._queue)

    def teardown(self):
        """Let all workers answer all: everything ends."""
        if not hasattr(self, "tasks"):
            return
        for _ in range(10 * len(self.tasks) + 30):
            for rank in range(WORKERS):
                if rank in self.dying:
                    self.pipes[rank] = []
                    self.apply(self.state.on_worker_exit(rank, -9, ""))
                self.worker_is_ready(rank)
                while self.loading[rank]:
                    self.state.models.on_loaded(rank, LoadedRecord(self.loading[rank].pop(0), 1.0, "", b""))
                answered, self.pipes[rank] = [task for record in self.pipes[rank] for task in record], []
                results = [(Result(task.id, ResultKind.VALUE, b"", 0.01), ()) for task in answered]
                if results:
                    self.state.on_results(rank, results, self.now)
                self.now += 1.0
                self.apply(self.state.on_tick(self.now))
                self.turn()
            if len(self.ends) == len(self.tasks):
                break
        assert self.ends.keys() == self.tasks.keys(), "some never end"


Batches.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestBatches = Batches.TestCase
