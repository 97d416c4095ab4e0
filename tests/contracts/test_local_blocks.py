"""Promises of LocalProvider beyond the contract: other interpreters, whole sessions, the user's own modules."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from cnflow.config import LocalProvider
from cnflow.errors import BlockRejectedError, ImageUnusableError
from cnflow.ids import NativeId
from cnflow.model.block import BlockState, Refusal
from cnflow.model.image import Image
from cnflow.providers._shared import process_sessions
from cnflow.providers.local.provider import LocalBackend
from cnflow.testing.contracts.provider import submit_one


@pytest.fixture
def start(fake_root, request_for, report_of, capsule_cache):
    """Starts a block: its provider, its id, and what it reports; ended at the end."""
    started = []

    def run(**settings):
        provider, request = (
            LocalBackend(LocalProvider(**settings), cache_dir=capsule_cache, root=fake_root),
            request_for(),
        )
        block = submit_one(provider, request)
        started.append((provider, block))
        return provider, block, report_of(request)

    yield run
    for provider, block in started:
        provider.cancel([block])


def test_a_block_has_a_session_of_its_own_so_that_ctrl_c_does_not_reach_it(start):
    _, _, report = start()
    assert report["sid"] == report["pid"]


@pytest.mark.parametrize("ended_by", ["cancel", "crash"])
def test_no_process_of_a_block_remains_also_none_in_a_group_of_its_own(start, until, tmp_path, ended_by):
    provider, block, report = start(environment={"FAKE_MANAGER": "family"})
    child = int(until(lambda: _word_after("child", tmp_path / "block-0.log")))
    since = process_sessions.start_of(child)
    assert process_sessions.lives(child, since)
    if ended_by == "crash":
        os.kill(report["pid"], signal.SIGKILL)
        until(lambda: provider.status([block])[block].state is BlockState.FAILED)
    else:
        provider.cancel([block])
    until(lambda: not process_sessions.lives(child, since))


def test_a_later_process_of_the_same_id_is_neither_seen_nor_ended(fake_root):
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        provider, block = LocalBackend(LocalProvider(), root=fake_root), NativeId(f"{bystander.pid}:1")
        assert provider.status([block])[block].state is BlockState.GONE
        provider.cancel([block])
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_modules_beside_the_users_script_are_found(start, monkeypatch, tmp_path):
    added = tmp_path / "added"
    monkeypatch.setattr(sys, "path", [str(added), str(tmp_path), *sys.path])
    _, _, report = start(environment={"PYTHONPATH": "/mine"})
    found = report["environ"]["PYTHONPATH"].split(":")
    assert found[:2] == [str(added), str(tmp_path)]
    assert found[-1] == "/mine"
    assert report["isolated"] == 0


def test_block_inside_a_batch_job_has_the_end_of_the_job(start, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_END_TIME", "2000000000")
    _, _, report = start()
    assert report["environ"]["CNFLOW_BLOCK_ENDS_AT"] == "2000000000"


def test_no_settings_file_is_left_of_a_manager_that_never_read_it(fake_root, request_for, until):
    (fake_root / "cnflow" / "manager" / "__main__.py").write_text("import sys; print(sys.argv[1]); sys.exit(1)")
    provider, request = LocalBackend(LocalProvider(), root=fake_root), request_for()
    block = submit_one(provider, request)
    until(lambda: provider.status([block])[block].state is BlockState.FAILED)
    assert not Path(request.log_file.read_text().strip()).exists()


@pytest.mark.pythons
@pytest.mark.timeout(300)
@pytest.mark.parametrize("minor", ["3.9", "3.10", "3.11", "3.12", "3.13"])
def test_another_interpreter_gets_its_capsule(minor, pythons, request_for, capsule_cache, until):
    provider, request = LocalBackend(LocalProvider(python=pythons[minor]), cache_dir=capsule_cache), request_for()
    assert provider.prepare(Image()) == ""
    block = submit_one(provider, request)
    try:
        # Nobody listens where the request says; that it gets to say so takes all that travels, and zmq.
        until(lambda: "interchange answers at none" in request.log_file.read_text())
    finally:
        provider.cancel([block])


@pytest.mark.pythons
def test_another_interpreter_does_not_read_the_drivers_python_variables(start, pythons):
    _, _, report = start(python=pythons["3.9"])
    assert report["isolated"] == 1
    assert report["version"].startswith("3.9.")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (None, "No such file or directory"),
        ("#!/bin/sh\necho no such thing here >&2; exit 1", "no such thing here"),
        ("#!/bin/sh\nexit 7", "it exited with code 7"),
    ],
)
def test_an_interpreter_that_does_not_start_is_reported_in_its_own_words(tmp_path, script, words, request_for):
    python = tmp_path / "python"
    if script:
        python.write_text(script)
        python.chmod(0o755)
    provider = LocalBackend(LocalProvider(python=str(python)))
    with pytest.raises(BlockRejectedError, match=words):
        provider.prepare(Image())
    request = request_for()
    refused = provider.submit([request])[request.block]
    assert refused.kind is Refusal.FOR_GOOD
    assert re.search(words, refused.words)


def test_an_interpreter_without_a_capsule_is_named(tmp_path):
    python = tmp_path / "python"
    python.write_text(
        '#!/bin/sh\necho \'{"version": "2.7.18", "implementation": "CPython", "machine": "x86_64", "libc": "musl", '
        '"executable": ""}\''
    )
    python.chmod(0o755)
    with pytest.raises(ImageUnusableError, match=r"Python 2\.7\.18 on x86_64 with musl"):
        LocalBackend(LocalProvider(python=str(python))).prepare(Image())


def test_a_log_file_that_cannot_be_written_rejects_the_block(fake_root, request_for, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    request = replace(request_for(), log_file=tmp_path / "none" / "x.log")
    refused = LocalBackend(LocalProvider(), root=fake_root).submit([request])[request.block]
    assert isinstance(refused.error, BlockRejectedError)
    assert "none/x.log" in refused.words
    assert not list(Path(tempfile.gettempdir()).glob("cnflow-manager-*.json"))


def _word_after(word, file):
    found = [line.split()[1] for line in file.read_text().splitlines() if line.startswith(f"{word} ")]
    return found[0] if found else ""
