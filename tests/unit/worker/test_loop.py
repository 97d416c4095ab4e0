import os
import socket
import subprocess
import sys


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
