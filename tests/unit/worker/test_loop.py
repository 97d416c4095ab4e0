import os
import socket
import subprocess
import sys

import pytest

from cnflow.model.task import AppKind
from cnflow.tasks.models import Model
from cnflow.wire import serialization
from cnflow.wire.batch_records import pack_load, pack_unload
from cnflow.wire.pipe import Reader, ResultKind, ToWorker, pack


def test_manager_that_ends_before_it_has_read_anything_is_an_end_without_words(tmp_path):
    ours, theirs = socket.socketpair()
    stops, stops_writer = os.pipe()
    code = f"from cnflow.worker.loop import serve; serve({theirs.fileno()}, {stops}, {str(tmp_path / 'box')!r})"
    descriptors = (theirs.fileno(), stops)
    with subprocess.Popen([sys.executable, "-c", code], pass_fds=descriptors, stderr=subprocess.PIPE) as worker:
        theirs.close()
        os.close(stops)
        ours.recv(1, socket.MSG_PEEK)  # it is ready, and that stays unread
        ours.close()
        errors = worker.stderr.read()
    os.close(stops_writer)
    assert errors == b""
    assert worker.returncode == 0


@pytest.mark.parametrize("moment", ["setup", "teardown"])
def test_process_that_a_model_forks_while_it_is_loaded_or_unloaded_answers_nothing(tmp_path, moment):
    def fork(self):
        child = os.fork()
        if child:
            os.waitpid(child, 0)

    begun = tmp_path / "begun"

    class Plain:
        def __init__(self):
            with begun.open("a") as file:
                file.write("once\n")

        def predict(self, rows):
            return rows

    ours, theirs = socket.socketpair()
    stops, stops_writer = os.pipe()
    code = f"from cnflow.worker.loop import serve; serve({theirs.fileno()}, {stops}, {str(tmp_path / 'box')!r})"
    records = []
    forking = type("Forks", (), {"predict": Plain.predict, moment: fork})
    for name, model in (("forks", forking), ("plain", Plain)):
        body = serialization.dump(Model(target=model)).body
        head = f"{int(AppKind.PYTHON)} {name}".encode()
        records += [*pack(ToWorker.FUNCTION, 0, 0.0, [name.encode(), head, body, b""]), *pack_load(name.encode())]
        records += pack_unload(name.encode())
    with subprocess.Popen([sys.executable, "-c", code], pass_fds=(theirs.fileno(), stops)) as worker:
        theirs.close()
        os.close(stops)
        ours.sendall(b"".join(records))
        ours.shutdown(socket.SHUT_WR)
        reader, kinds = Reader(), []
        while data := ours.recv(2**16):
            kinds += [record.type for record in reader.feed(data)]
        ours.close()
    os.close(stops_writer)
    assert kinds == [ResultKind.READY, ResultKind.LOADED, ResultKind.LOADED]
    assert begun.read_text() == "once\n"
    assert worker.returncode == 0
