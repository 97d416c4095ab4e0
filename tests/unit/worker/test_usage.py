"""A worker's meter: counters since its start, the peak of each task alone, also of commands."""

import subprocess
import sys

import pytest

from cnflow.tasks.command_peak import CommandPeak
from cnflow.wire.pipe import Reader, ResultKind
from cnflow.wire.usage import unpack_usage
from cnflow.worker import usage as module

MIB = 2**20


@pytest.fixture
def meter(monkeypatch):
    monkeypatch.setattr(module, "commands", CommandPeak())
    meter = module.UsageMeter()
    measured(meter, 0)
    return meter


def measured(meter, task):
    (record,) = Reader().feed(meter.record(task))
    assert (record.type, record.id) == (ResultKind.USAGE, task)
    return unpack_usage(record.parts[0])


def test_counters_grow_with_what_is_used(meter):
    before = measured(meter, 1)
    sum(range(2_000_000))
    after = measured(meter, 2)
    assert after.user > before.user
    assert after.system >= before.system


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is reset by Linux alone")
def test_peak_is_that_of_the_task_alone(meter, monkeypatch):
    monkeypatch.setattr(module, "_WORTH_PEAK", 0.0)
    meter.begin()
    large = bytearray(300 * MIB)
    large[::4096] = b"x" * len(large[::4096])
    del large
    first = measured(meter, 1).peak
    meter.begin()
    second = measured(meter, 2).peak
    assert first - second > 250 * MIB


def test_short_task_is_given_the_memory_in_use_before_it(meter, monkeypatch):
    monkeypatch.setattr(module, "_WORTH_PEAK", 1e9)
    meter._highest = 2**60  # nothing rises
    monkeypatch.setattr(module, "_memory", lambda: 1 / 0)
    assert measured(meter, 1).peak == meter._resident > 0


def test_peak_without_the_kernels_lines_is_that_of_the_process(meter, monkeypatch):
    monkeypatch.setattr(module, "_memory", lambda: (0, 0))
    meter.begin()
    meter._highest = 0
    assert measured(meter, 1).peak > MIB


def test_peak_of_a_command_is_its_own():
    commands = CommandPeak()
    command = [sys.executable, "-c", f"x = b'x' * {200 * MIB}"]
    assert commands.wait(subprocess.Popen(command)) == 0
    assert commands.take() == 0  # it is off
    commands.is_on = True
    assert commands.wait(subprocess.Popen(command)) == 0
    assert commands.take() > 200 * MIB
    assert commands.take() == 0


def test_exit_codes_are_those_of_subprocess():
    commands = CommandPeak()
    commands.is_on = True
    failed = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    assert (commands.wait(failed), failed.returncode) == (3, 3)
    killed = subprocess.Popen(["sleep", "60"])
    killed.kill()
    assert commands.wait(killed) == -9
    assert commands.wait(killed) == -9
