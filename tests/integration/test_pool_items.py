"""Items that pass through an interchange, with real sockets: between managers, from drivers, and to nobody else."""

import pytest

from cnflow.model.item import Item
from cnflow.wire import messages as msg
from cnflow.wire import sockets
from cnflow.wire.blob_digest import digest_of
from cnflow.wire.bulk import Chunk, Gone, Release, Want, decode_bulk, with_bulk_suffix
from cnflow.wire.pipe import ResultKind
from tests.integration.pool import FUNCTION, PlayedManager, Pool, wait_for

CONTENT = bytes(range(256)) * 1024
"""More than ZeroMQ copies."""

KEY = digest_of(CONTENT)


class Node(PlayedManager):
    """A manager with its connection for blobs, and what has come over it."""

    def __init__(self, pool, name, block="0"):
        super().__init__(pool, name, slots=2, block=block, host=name.decode())
        self.bulk = sockets.connect_dealer(self.context, f"ipc://{pool.folder}/managers", with_bulk_suffix(name))
        self.came = []
        self.released = []

    def leave(self, number, *items):
        """End a task that leaves *items* here."""
        task = self.tasks.pop(number)
        result = msg.Result(task.id, ResultKind.VALUE, b"", attempt=task.attempt, items=items)
        self.send(msg.Done(self.slots, [result]))

    def want(self, blob, source=b"", length=2**18):
        self.bulk.send([msg.encode(Want(blob, source, 0, length))])

    def blobs(self):
        for head, *data in self.bulk.receive():
            message = decode_bulk(head)
            if isinstance(message, Want) and message.blob[:16] == KEY:
                self.bulk.send([msg.encode(Chunk(message.blob, self.name, message.offset)), CONTENT])
            else:
                self.came.append((message, bytes(data[0].bytes) if data else None))
        return self.came

    def read(self):
        for frames in self.dealer.receive():
            payload = self.session.on_received(frames)
            for due in self.session.take_due():
                self.dealer.send(due)
            message = msg.decode_to_manager(payload[0]) if payload else None
            if isinstance(message, msg.Work):
                self.tasks.update((task.id, task) for task in message.tasks)
            elif isinstance(message, Release):
                self.released.append(message)
        return self.tasks

    def close(self):
        self.bulk.close()
        super().close()


@pytest.fixture
def world(tmp_path):
    pool = Pool(tmp_path)
    nodes = [Node(pool, b"manager-%d" % number) for number in (1, 2)]
    ann, bob = (pool.driver(pool.key(name)) for name in ("ann", "bob"))
    for driver in (ann, bob):
        driver.greeting()
    yield pool, nodes, ann, bob
    for node in nodes:
        node.close()
    pool.close()


def submit(driver, number, *items):
    functions = [] if driver.next else [FUNCTION]
    driver.next = number + 1
    driver.send(msg.Work(functions, [msg.Task(number, FUNCTION.id, b"", items=items)]))


def task_of(nodes):
    """The one task that a node has, and that node."""
    node = wait_for(lambda: next((node for node in nodes if node.read()), None))
    (task,) = node.tasks.values()
    return node, task


def test_items_reach_the_tasks_of_their_client_and_nobody_else(world):
    pool, nodes, ann, bob = world
    # The driver's own: in the driver's names there, under the digest here.
    own = Item(KEY + b"driver-1", len(CONTENT))
    submit(ann, 0, own)
    node, task = task_of(nodes)
    (item,) = task.items
    assert (item.key, item.id == own.id) == (KEY, False)
    node.want(item.id, length=1000)
    wanted = wait_for(lambda: ann.of(Want))[0]
    assert wanted.blob == own.id
    data = CONTENT[wanted.offset : wanted.offset + wanted.length]
    ann.session.send_unnumbered([msg.encode(Chunk(own.id, b"", wanted.offset)), data])
    ann.session.flush()
    wait_for(lambda: (ann.read(), node.blobs())[1])
    assert node.came.pop() == (Chunk(item.id, b"", 0), CONTENT[:1000])
    # What its task leaves on that node, another task of ann's may fetch from the other node; bob's may not.
    left = Item(KEY + b"left-it.", len(CONTENT), source=node.name, name="value")
    node.leave(task.id, left)
    wait_for(lambda: (ann.read(), ann.results.get(0))[1])
    assert ann.results[0].items == (left,)
    other = next(each for each in nodes if each is not node)
    other.want(left.id, node.name)
    wait_for(lambda: (node.blobs(), other.blobs())[1])
    assert other.came.pop() == (Chunk(left.id, node.name, 0), CONTENT)
    submit(ann, 1, left)
    there, task = task_of(nodes)
    assert there is node, "where its data is"
    submit(bob, 0, left)
    wait_for(lambda: "with an item of another client" in pool.log.read_text())
    # Released, it is gone for all; who may have a copy drops it, too.
    ann.send(Release(b"", [own.id]))
    ann.send(Release(node.name, [left.id]))
    wait_for(lambda: (node.read(), len(node.released) == 2)[1])
    assert node.released == [Release(b"", [item.id]), Release(node.name, [left.id])]
    other.want(left.id, node.name)
    wait_for(other.blobs)
    assert isinstance(other.came.pop()[0], Gone)

    # So are those of a client that leaves.
    submit(ann, 2, own)
    node, task = task_of([other])
    node.leave(task.id, left._replace(source=node.name))
    wait_for(lambda: (ann.read(), ann.results.get(2))[1])
    ann.send(msg.Stop())
    wait_for(lambda: (node.read(), len(node.released) == 2)[1])
    assert {release.source for release in node.released} == {b"", node.name}
