"""``python tests/fuzzing/guided.py -runs=N``: Atheris searches for bytes that crash a decoder or a state machine.

Atheris is not a dependency of cnflow: ``pip install atheris`` first (CPython on Linux; it includes libFuzzer).
"""

import contextlib
import sys

import atheris

with atheris.instrument_imports(include=["cnflow"]):
    from cnflow.interchange.recovery import Predecessor, RecoveringInterchange
    from cnflow.interchange.state import Interchange
    from cnflow.manager.prefetch import Prefetch
    from cnflow.manager.state import Manager
    from cnflow.wire import manager_messages
    from cnflow.wire import messages as msg
    from cnflow.wire.function_messages import Function
    from cnflow.wire.parcels import attach_frames


def fuzz_interchange(data, attached):
    message = msg.decode_from_manager(data)
    predecessor = Predecessor(["0"], {b"a": "0"}, {b"b": "0"})
    for state in (Interchange(5, 1, 9, ["0"]), RecoveringInterchange(5, 1, 9, predecessor, 0)):
        state.on_submitted([Function(b"f", "f", 0, "", b"")], [(msg.Task(1, b"f", b""), ())])
        if isinstance(message, msg.Register):
            state.on_registered(b"a", message.info, 1, message.held, message.stopping)
        elif isinstance(message, msg.Done):
            state.on_registered(b"a", manager_messages.ManagerInfo(5, "", "", "", "0", "", 1, 1), 1)
            state.on_results(b"a", message.window, attach_frames(message.results, attached), 2)
        state.dispatch(10)
        state.on_tick(20)


def fuzz_manager(data, attached):
    message = msg.decode_to_manager(data)
    state = Manager(1, Prefetch(0), "3.11", "here")
    state.on_start()
    state.on_worker_ready(0)
    if isinstance(message, msg.Work):
        state.on_work(message.functions, attach_frames(message.tasks, attached))
    state.dispatch(1)
    if isinstance(message, msg.Cancel):
        state.on_cancel(message.tasks, 1)
    state.on_tick(100)


def fuzz_both(data):
    """Handle *data* as a message to each process; errors that the loops catch are no finding."""
    for target in (fuzz_interchange, fuzz_manager):
        with contextlib.suppress(*msg.MALFORMED):
            target(data[1:], [b"x"] * (data[0] % 4) if data else [])


if __name__ == "__main__":
    atheris.Setup(sys.argv, fuzz_both)
    atheris.Fuzz()
