"""Tools for the tests of anything built on cnflow's seams.

::

    contracts/     a pytest class per seam: subclass it to test an implementation of your own; needs pytest
    fakes          implementations in memory, for tests of code that uses a seam
    faulty         a provider around another one that hangs, lies, forgets and answers late
    clock          a clock that a test sets
    task_driver    drives an executor without a dataflow kernel
"""

from cnflow.testing.clock import FakeClock
from cnflow.testing.fakes import FakeProvider, FakeProviderSettings, FakeSystem
from cnflow.testing.faulty import Fault, FaultyProvider, RandomFaults, Script
from cnflow.testing.task_driver import TaskDriver

__all__ = [
    "FakeClock",
    "FakeProvider",
    "FakeProviderSettings",
    "FakeSystem",
    "Fault",
    "FaultyProvider",
    "RandomFaults",
    "Script",
    "TaskDriver",
]
