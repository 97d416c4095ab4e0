"""A pool's state with clients and managers that a test plays, and what each of them was sent."""

from cnflow.interchange import actions as on
from cnflow.interchange.pool.actions import ForClient, ReleaseResults, ReportNoWorkers
from cnflow.interchange.pool.functions import SharedFunctions
from cnflow.interchange.pool.standing import StandingInterchange
from cnflow.interchange.pool.state import PoolInterchange
from cnflow.model.manager_settings import PROTOCOL
from cnflow.model.pool_settings import PoolInterchangeSettings
from cnflow.wire.bulk import Offer
from cnflow.wire.function_messages import Function
from cnflow.wire.manager_messages import ManagerInfo, Node
from cnflow.wire.messages import Result, Task
from cnflow.wire.pipe import ResultKind

FIRST = 1000


def function(letter=b"f", modules=()):
    return Function(letter * 16, letter.decode(), 0, "", b"code", modules)


FUNCTION = function()


class PlayedManager:
    """What a manager has."""

    def __init__(self, name, block, slots):
        self.name, self.block, self.slots = name, block, slots
        self.tasks = {}
        self.order = []
        self.functions = set()
        self.stopping = {}


class World:
    """The pool, and all that is around it. Results and losses are as the clients see them."""

    def __init__(self, *blocks, **settings):
        made = PoolInterchangeSettings(
            session="00" * 8,
            folder="",
            manager_endpoint="",
            clients_endpoint="",
            clients_secret_key="",
            client_keys="",
            blocks=dict.fromkeys(blocks or ("0",), ""),
            heartbeat_period=10,
            heartbeat_threshold=30,
            **settings,
        )
        functions = SharedFunctions()
        self.functions = functions
        self.pool = PoolInterchange(StandingInterchange(made, functions.table), functions, FIRST)
        self.now = 0.0
        self.managers = {}
        self.results = {}
        """Results by client, then by task and attempt: how often each came."""

        self.lost = {}
        self.seen_managers = {}
        self.news = {}
        """Why there is no worker, as each client knows it; only of those that were told."""

        self.owner = []
        self.released = []
        self.prepared = []
        """Manager and names of the functions of each order to load models."""

    # Events

    def client(self, name="ann", weight=1.0, session="00"):
        record, actions = self.pool.on_client(session, name, weight, self.now)
        self.results[record.id], self.lost[record.id], self.seen_managers[record.id] = {}, {}, set()
        self.perform(actions)
        return record

    def leave(self, client):
        self.perform(self.pool.on_client_gone(client.id, self.now))

    def submit(self, client, *numbers, needs=None, attempt=0, functions=(FUNCTION,), forgets=False, **fields):
        made = functions[0].id if functions else FUNCTION.id
        parcels = [(Task(number, made, b"", needs=needs, attempt=attempt, **fields), ()) for number in numbers]
        self.pool.on_submitted(client.id, functions, parcels, forgets=forgets)
        self.dispatch()

    def cancel(self, client, attempts):
        self.perform(self.pool.on_cancelled(client.id, attempts, self.now))
        self.dispatch()

    def manager(self, name=b"m1", slots=2, block="0", window=None, cores=None, accelerators=0):
        node = Node(cores=cores or slots, accelerators=accelerators)
        info = ManagerInfo(PROTOCOL, "0", "3.11", "host", block, "", slots, 1, "", node)
        made = self.managers[name] = PlayedManager(name, block, slots)
        self.of_scheduler(self.pool.scheduler.on_registered(name, info, self.now))
        self.done(made, window=slots if window is None else window)
        return made

    def done(self, manager, *numbers, window=None, kind=ResultKind.VALUE, blobs=()):
        """End those tasks of *manager*, by the ids that it knows; all *numbers* are of tasks that it has."""
        results = []
        for number in numbers:
            task = manager.tasks.pop(number, None) or manager.stopping.pop(number)
            offers = tuple(Offer(blob, 5, 0, manager.name) for blob in blobs)
            results.append((Result(number, kind, b"%d" % number, attempt=task.attempt, blobs=offers), ()))
        window = manager.slots if window is None else window
        self.of_scheduler(self.pool.scheduler.on_results(manager.name, window, results, self.now))
        self.dispatch()

    def lose(self, manager, reason="lost"):
        del self.managers[manager.name]
        self.of_scheduler(self.pool.scheduler.on_manager_left(manager.name, reason))
        self.dispatch()

    def prepare(self, client, *functions):
        self.perform(self.pool.on_prepare(client.id, functions))

    def no_workers(self, reason, *, is_final=False):
        self.perform(self.pool.on_no_workers(reason, is_final=is_final))

    def dispatch(self):
        self.perform(self.pool.dispatch(self.now))

    # What follows

    def of_scheduler(self, actions):
        self.perform(self.pool.route(actions))

    def perform(self, actions):
        for action in actions:
            if isinstance(action, ForClient):
                self._for_client(action.client, action.action)
            elif isinstance(action, on.SendWork):
                manager = self.managers[action.manager]
                manager.functions.update(function.id for function in action.functions)
                for task, _ in action.tasks:
                    assert task.function in manager.functions
                    assert task.id not in manager.tasks
                    manager.tasks[task.id] = task
                    manager.order.append(task.id)
            elif isinstance(action, on.SendCancel):
                manager = self.managers[action.manager]
                for number in action.tasks:
                    if number in manager.tasks:  # else it was cancelled before
                        manager.stopping[number] = manager.tasks.pop(number)
            elif isinstance(action, ReleaseResults):
                self.released += action.blobs
            elif isinstance(action, on.SendPrepare):
                self.prepared.append((action.manager, [function.name for function in action.functions]))
            else:
                self.owner.append(action)

    def _for_client(self, client, action):
        assert client in self.pool.clients, "sent to a client that is gone"
        if isinstance(action, on.SendResults):
            for result, _ in action.results:
                key = result.id, result.attempt
                self.results[client].setdefault(key, []).append(result)
        elif isinstance(action, ReportNoWorkers):
            self.news[client] = action.reason
        elif isinstance(action, on.ReportManagerUp):
            self.seen_managers[client].add(action.manager)
        else:
            self.seen_managers[client].discard(action.manager)
            for attempt in action.lost.items():
                assert attempt not in self.lost[client]
                self.lost[client][attempt] = action.reason

    # Questions

    def running_of(self, client):
        """Tasks of *client* that managers have, in its ids."""
        tasks = [number for manager in self.managers.values() for number in manager.tasks]
        own = {number: task for task, number in client.scheduled.items()}
        return sorted(own[number] for number in tasks if number in own)

    def kinds(self, client):
        return {task: [result.kind for result in results] for (task, _), results in self.results[client.id].items()}
