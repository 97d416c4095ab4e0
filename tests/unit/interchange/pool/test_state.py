"""State of an interchange with several clients: stories, and random sequences of events."""

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cnflow.interchange import actions as on
from cnflow.wire.manager_messages import Needs, PoolReport, QueuedNeeds, StatusQuery
from cnflow.wire.messages import NO_FRAMES, Result, Task
from cnflow.wire.pipe import ResultKind
from tests.unit.interchange.pool.world import FUNCTION, World, function


def end_all(world):
    """End tasks as long as there are any."""
    while any(manager.tasks for manager in world.managers.values()):
        for manager in list(world.managers.values()):
            world.done(manager, *list(manager.tasks))


def test_results_go_to_the_client_of_the_task_under_its_own_id():
    world = World()
    ann, bob = world.client("ann"), world.client("bob")
    manager = world.manager(slots=4)
    world.submit(ann, 7)
    world.submit(bob, 7, attempt=3)
    first, second = manager.order
    world.done(manager, second, first)
    assert [result.body for result in world.results[ann.id][7, 0]] == [b"%d" % first]
    assert [result.body for result in world.results[bob.id][7, 3]] == [b"%d" % second]


def test_news_of_missing_workers_reach_clients_of_now_and_later_until_a_manager_comes():
    world = World()
    ann = world.client("ann")
    world.no_workers("no such image")
    bob = world.client("bob")
    assert world.news == {ann.id: "no such image", bob.id: "no such image"}
    world.manager()
    eve = world.client("eve")
    assert world.news == {ann.id: "", bob.id: ""}
    assert eve.id not in world.news


def test_news_of_missing_workers_that_a_manager_has_overtaken_reach_nobody():
    world = World()
    ann = world.client("ann")
    manager = world.manager()
    world.no_workers("no such image", is_final=True)
    assert world.news == {}
    world.lose(manager)
    world.no_workers("no such image", is_final=True)
    assert world.news == {ann.id: "no such image"}


def test_functions_of_two_clients_reach_a_manager_once():
    world = World()
    world.manager(slots=4)
    for name in ("ann", "bob"):
        world.submit(world.client(name), 1)
    assert len(world.managers[b"m1"].order) == 2
    assert world.functions.table == {FUNCTION.id: FUNCTION}


def test_task_of_a_function_that_was_not_sent_is_refused_and_nothing_is_queued():
    world = World()
    ann, bob = world.client("ann"), world.client("bob")
    world.submit(ann, 1)
    tasks = [(Task(1, FUNCTION.id, b""), ())]
    with pytest.raises(ValueError, match="function that was not sent"):
        world.pool.on_submitted(bob.id, [], tasks)
    assert bob.queued == 0


def test_function_without_its_modules_is_refused():
    world = World()
    ann = world.client()
    with pytest.raises(ValueError, match="without its modules"):
        world.pool.on_submitted(ann.id, [function(b"g", (b"module" * 2,))], [])


@pytest.mark.parametrize("needs", [Needs(cores=float("nan")), Needs(cores=float("inf")), Needs(priority=float("nan"))])
def test_needs_that_are_no_numbers_are_refused(needs):
    world = World()
    ann = world.client()
    with pytest.raises(ValueError, match="needs that are no numbers"):
        world.submit(ann, 1, needs=needs)
    assert ann.queued == 0


def test_functions_that_one_client_forgets_stay_for_the_other():
    world = World()
    ann, bob = world.client("ann"), world.client("bob")
    f, g = function(b"f"), function(b"g")
    world.submit(ann, 1, functions=(f,))
    world.submit(bob, 1, functions=(f,))
    world.submit(ann, 2, functions=(g,), forgets=True)
    manager = world.manager(slots=8)
    end_all(world)
    world.submit(ann, 3, functions=(g,), forgets=True)
    assert set(world.functions.table) == {f.id, g.id}
    world.leave(bob)
    assert set(world.functions.table) == {g.id}
    assert {g.id} <= manager.functions


def test_late_client_gets_its_share_as_workers_become_free():
    world = World()
    ann, bob = world.client("ann"), world.client("bob")
    manager = world.manager(slots=8)
    world.submit(ann, *range(100))
    assert len(world.running_of(ann)) == 8
    world.submit(bob, *range(100))
    for _ in range(4):
        world.done(manager, manager.order[0] if manager.order[0] in manager.tasks else min(manager.tasks))
    assert (len(world.running_of(ann)), len(world.running_of(bob))) == (4, 4)


def test_client_with_short_tasks_keeps_its_share_beside_one_with_long_tasks():
    world = World()
    long, short = world.client("long"), world.client("short")
    world.submit(long, *range(100))
    world.submit(short, *range(200))
    manager = world.manager(slots=8)
    for _ in range(40):
        own = set(short.scheduled.values()) & set(manager.tasks)
        world.done(manager, *(own or [min(manager.tasks)]))
    assert len(world.running_of(long)) == 4
    assert short.ended == 160


def test_shares_follow_the_weights():
    world = World()
    light, heavy = world.client("light", 1.0), world.client("heavy", 3.0)
    world.submit(light, *range(50))
    world.submit(heavy, *range(50))
    world.manager(slots=16)
    assert (len(world.running_of(light)), len(world.running_of(heavy))) == (4, 12)


def test_tasks_that_fit_no_free_node_hold_up_nobody_on_other_nodes():
    world = World()
    big, small = world.client("big"), world.client("small")
    world.manager(b"m1", slots=1, accelerators=1)
    world.manager(b"m2", slots=3)
    world.submit(big, *range(500), needs=Needs(cores=1, accelerators=1))
    world.submit(small, *range(10), needs=Needs(cores=1))
    world.submit(small, *range(100, 110))
    assert len(world.running_of(big)) == 1
    assert len(world.running_of(small)) == 3


def test_priority_counts_within_one_client_only():
    world = World()
    greedy, modest = world.client("greedy"), world.client("modest")
    world.submit(greedy, *range(30), needs=Needs(cores=1, priority=-1e6))
    world.submit(greedy, 99, needs=Needs(cores=1, priority=-1e7))
    world.submit(modest, *range(30), needs=Needs(cores=1, priority=7))
    manager = world.manager(slots=1)
    end_all(world)
    places = {int(results[0].body): task for (task, _), results in world.results[greedy.id].items()}
    own = [places.get(number, "modest") for number in manager.order]
    assert own[:20].count("modest") >= 8
    assert own.index(99) <= 16


def test_cancelled_task_of_one_client_leaves_the_same_id_of_another_alone():
    world = World()
    ann, bob = world.client("ann"), world.client("bob")
    world.submit(ann, 1, 2)
    world.submit(bob, 1)
    world.cancel(ann, {1: 0, 2: 5})
    assert world.kinds(ann) == {1: [ResultKind.CANCELLED]}
    manager = world.manager(slots=4)
    assert world.running_of(ann) == [2]
    assert world.running_of(bob) == [1]
    world.cancel(ann, {2: 0})
    assert len(manager.stopping) == 1
    world.done(manager, *list(manager.stopping), kind=ResultKind.CANCELLED)
    assert world.kinds(ann) == {1: [ResultKind.CANCELLED], 2: [ResultKind.CANCELLED]}


def test_lost_manager_is_reported_to_each_client_with_its_own_tasks():
    world = World()
    ann, bob, eve = world.client("ann"), world.client("bob"), world.client("eve")
    manager = world.manager(slots=4)
    world.submit(ann, 1, 2)
    world.submit(bob, 1, attempt=2)
    world.lose(manager)
    assert world.lost[ann.id].keys() == {(1, 0), (2, 0)}
    assert world.lost[bob.id].keys() == {(1, 2)}
    assert world.lost[eve.id] == {}
    assert world.seen_managers[eve.id] == set()
    assert [action.lost for action in world.owner if isinstance(action, on.ReportManagerDown)] == [{}]


def test_client_that_is_gone_loses_its_tasks_and_no_other_does():
    world = World()
    ann, bob = world.client("ann"), world.client("bob")
    manager = world.manager(slots=4)
    world.submit(ann, *range(10))
    world.submit(bob, *range(10))
    world.leave(ann)
    assert len(manager.stopping) >= 1
    world.done(manager, *list(manager.stopping), blobs=[b"part"])
    assert b"part" in world.released
    end_all(world)
    assert world.kinds(bob) == {number: [ResultKind.VALUE] for number in range(10)}
    assert world.pool.report(0).clients == [bob.status(0)]
    assert (world.pool.submitted, world.pool.ended) == (20, 20)


def test_client_whose_results_are_not_taken_gets_no_turns():
    world = World()
    ann, bob = world.client("ann"), world.client("bob")
    ann.is_full = True
    world.manager(slots=4)
    world.submit(ann, *range(10))
    world.submit(bob, *range(2))
    assert world.running_of(ann) == []
    assert world.running_of(bob) == [0, 1]
    ann.is_full = False
    world.dispatch()
    assert world.running_of(ann) == [0, 1]


def test_new_client_learns_of_the_managers_that_are_there():
    world = World()
    world.manager(b"m1")
    world.manager(b"m2")
    assert world.seen_managers[world.client().id] == {b"m1", b"m2"}


def test_result_of_before_a_restart_is_none_of_a_task_of_now():
    world = World()
    ann = world.client()
    manager = world.manager(slots=2)
    world.submit(ann, 1)
    stale = [(Result(999, ResultKind.VALUE, b"old"), NO_FRAMES), (Result(1, ResultKind.VALUE, b"old"), NO_FRAMES)]
    world.of_scheduler(world.pool.scheduler.on_results(manager.name, 2, stale, 0))
    assert world.results[ann.id] == {}
    assert world.running_of(ann) == [1]


def test_report_counts_unfinished_and_queued_tasks_by_needs():
    world = World()
    ann = world.client()
    world.manager(slots=1)
    world.submit(ann, 1, 2, 3)
    world.submit(ann, 4, needs=Needs(cores=1, accelerators=1))
    report = world.pool.report(5.0)
    assert isinstance(report, PoolReport)
    assert report.needs[0] == QueuedNeeds(3, 2, Needs())
    assert (report.submitted, report.managers) == (4, 1)
    assert report.clients[0].queued + report.clients[0].running + report.clients[0].ended == 4


def test_explained_task_has_a_place_in_the_queue_or_a_holder():
    world = World()
    ann, bob = world.client("ann"), world.client("bob")
    world.submit(bob, 0)
    world.manager(slots=2)
    world.submit(ann, *range(5))
    report = world.pool.status_report(ann.id, StatusQuery(3, 0), 0)
    assert (report.number, report.holder, len(report.managers)) == (3, b"m1", 1)
    assert world.pool.status_report(ann.id, StatusQuery(4, 3), 0).ahead == 2
    assert world.pool.status_report(ann.id, StatusQuery(4, 77), 0).ahead == -1


def test_pod_that_no_owner_admitted_may_serve_where_guests_are_admitted():
    world = World(managers_key="k" * 40)
    ann = world.client()
    manager = world.manager(block="pod-1")
    world.submit(ann, 1)
    assert world.running_of(ann) == [1]
    world.lose(manager)
    assert world.pool.scheduler._blocks.get("pod-1") is None
    world.manager(b"m2", block="pod-1")
    world.submit(ann, 1, attempt=1)
    assert world.running_of(ann) == [1]


@pytest.mark.parametrize("has_registered_before", [False, True])
def test_manager_that_comes_to_a_pod_that_drains_gets_no_task(has_registered_before):
    """A pod that was removed as it started, and a container that the kubelet starts again after a drain."""
    world = World(managers_key="k" * 40)
    ann = world.client()
    former = world.manager(b"m0", block="pod-1") if has_registered_before else None
    world.of_scheduler(world.pool.scheduler.on_drain_requested("pod-1", world.now))
    if former:
        world.lose(former)
    assert on.ReportDrained("pod-1") in world.owner
    world.manager(block="pod-1")
    world.submit(ann, 1)
    assert world.running_of(ann) == []
    assert on.SendDrain(b"m1", "pod-1") in world.owner
    world.of_scheduler(world.pool.scheduler.on_block_gone("pod-1", "its pod is gone", world.now))
    assert world.pool.scheduler._blocks.get("pod-1") is None
    world.manager(b"m2", block="pod-2")
    world.dispatch()
    assert world.running_of(ann) == [1]


def test_pod_that_no_owner_admitted_waits_elsewhere():
    world = World()
    ann = world.client()
    world.manager(block="pod-1")
    world.submit(ann, 1)
    assert world.running_of(ann) == []


def test_submission_of_an_id_that_waits_replaces_it():
    world = World()
    ann = world.client()
    world.submit(ann, 1)
    world.submit(ann, 1, attempt=1)
    assert (ann.queued, world.pool.submitted, world.pool.ended) == (1, 2, 1)


NEEDS = st.sampled_from([None, None, None, Needs(cores=1), Needs(cores=2, priority=3), Needs(cores=1, accelerators=1)])


class AnyClients(RuleBasedStateMachine):
    """Clients come and go, submit and cancel; managers come, end tasks and are lost."""

    def __init__(self):
        super().__init__()
        self.world = World("0", "1", managers_key="k" * 40)
        self.clients = []
        self.open = {}
        """Attempts of tasks of each client that have not been reported."""
        self.numbers = 0

    def of(self, data, things):
        return data.draw(st.sampled_from(sorted(things)))

    @rule(weight=st.sampled_from([0.5, 1.0, 4.0]))
    def client_comes(self, weight):
        if len(self.clients) < 4:
            client = self.world.client(f"c{self.numbers}", weight)
            self.clients.append(client)
            self.open[client.id] = set()

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), count=st.integers(1, 12), needs=NEEDS, walltime=st.sampled_from([0.0, 0.0, 5.0]))
    def client_submits(self, data, count, needs, walltime):
        client = data.draw(st.sampled_from(self.clients))
        numbers = range(self.numbers, self.numbers + count)
        self.numbers += count
        self.open[client.id] |= {(number, 0) for number in numbers}
        self.world.submit(client, *numbers, needs=needs, walltime=walltime)

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def client_submits_lost_tasks_again(self, data):
        client = data.draw(st.sampled_from(self.clients))
        again = sorted(self.world.lost[client.id])
        self.world.lost[client.id].clear()
        for number, attempt in again:
            self.open[client.id].add((number, attempt + 1))
            self.world.submit(client, number, attempt=attempt + 1)

    @precondition(lambda self: any(self.open.values()))
    @rule(data=st.data(), count=st.integers(1, 4))
    def client_cancels(self, data, count):
        client = data.draw(st.sampled_from([each for each in self.clients if self.open[each.id]]))
        attempts = dict(sorted(self.open[client.id])[-count:])
        self.world.cancel(client, attempts)

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def client_leaves(self, data):
        client = data.draw(st.sampled_from(self.clients))
        self.clients.remove(client)
        self.world.leave(client)
        del self.open[client.id]

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), is_full=st.booleans())
    def client_is_slow(self, data, is_full):
        data.draw(st.sampled_from(self.clients)).is_full = is_full
        self.world.dispatch()

    @rule(slots=st.integers(1, 4), accelerators=st.integers(0, 1), block=st.sampled_from(["0", "1", "pod-1", "pod-2"]))
    def manager_comes(self, slots, accelerators, block):
        if len(self.world.managers) < 4:
            self.numbers += 1
            self.world.manager(b"m%d" % self.numbers, slots, block, accelerators=accelerators)

    @precondition(lambda self: self.world.managers)
    @rule(data=st.data(), count=st.integers(1, 4), kind=st.sampled_from([ResultKind.VALUE, ResultKind.RETURNED]))
    def manager_ends_tasks(self, data, count, kind):
        manager = self.world.managers[self.of(data, self.world.managers)]
        self.world.done(manager, *[*manager.stopping, *manager.tasks][:count], kind=kind)

    @precondition(lambda self: self.world.managers)
    @rule(data=st.data())
    def manager_is_lost(self, data):
        self.world.lose(self.world.managers[self.of(data, self.world.managers)])

    @rule(seconds=st.sampled_from([1.0, 60.0]))
    def time_passes(self, seconds):
        self.world.now += seconds
        for manager in self.world.managers.values():
            self.world.pool.scheduler.on_heartbeat(manager.name, self.world.now)
        self.world.of_scheduler(self.world.pool.scheduler.on_tick(self.world.now))
        self.world.dispatch()

    @invariant()
    def each_attempt_is_reported_once_or_is_somewhere(self):
        for client in self.clients:
            results = self.world.results[client.id]
            assert all(len(each) == 1 for each in results.values())
            self.open[client.id] -= set(results) | set(self.world.lost[client.id])
            waiting = {(task.id, task.attempt) for task, _ in client.queue}
            inside = {(task, self.world.pool._tasks[number].attempt) for task, number in client.scheduled.items()}
            assert waiting | inside == self.open[client.id]
            assert not waiting & inside

    @invariant()
    def counts_are_those_of_the_tasks(self):
        pool = self.world.pool
        report = pool.report(self.world.now)
        assert sum(each.unfinished for each in report.needs) == pool.submitted - pool.ended
        assert all(0 <= each.queued <= each.unfinished for each in report.needs)
        for client in self.clients:
            assert client.running == len(self.world.running_of(client)) + self._stopping_of(client)
            assert (client.queued == 0) == (not client.queue and len(client.scheduled) == client.running)
            assert sum(client.inside.values()) == len(client.scheduled) - client.running
            assert client.load >= 0

    def _stopping_of(self, client):
        own = set(client.scheduled.values())
        return sum(number in own for manager in self.world.managers.values() for number in manager.stopping)

    @invariant()
    def clients_know_the_managers(self):
        for client in self.clients:
            assert self.world.seen_managers[client.id] == set(self.world.pool._infos)

    @invariant()
    def no_worker_is_idle_while_a_plain_task_waits(self):
        free = [m for m in self.world.managers.values() if not m.stopping and len(m.tasks) < m.slots]
        admitted = [m for m in free if m.name in self.world.pool._infos and not any(t.needs for t in m.tasks.values())]
        waiting = [
            task for client in self.clients if not client.is_full for task, _ in client.queue if task.needs is None
        ]
        if admitted and not self.world.pool.scheduler.is_by_resources:
            assert not waiting

    def teardown(self):
        for client in self.clients:
            client.is_full = False
        self.world.dispatch()
        self.world.manager(b"last", 4, "0", accelerators=1)
        for _ in range(1000):
            for manager in list(self.world.managers.values()):
                self.world.done(manager, *manager.tasks, *manager.stopping)
            if not any(self.open.values()):
                break
            self.world.now += 60
            self.time_passes(1.0)
            self.each_attempt_is_reported_once_or_is_somewhere()
        assert not any(self.open.values())
        assert self.world.pool.submitted == self.world.pool.ended


TestAnyClients = AnyClients.TestCase
TestAnyClients.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
