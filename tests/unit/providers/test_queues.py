"""The queue of the settings, in the lists of schedulers."""

import pytest

from cnflow.config import SlurmProvider
from cnflow.config.gridengine import GridEngineProvider
from cnflow.config.lsf import LSFProvider
from cnflow.config.pbs import PBSProProvider
from cnflow.interfaces.channel import Completed
from cnflow.providers.batch.queues import QUEUES, problem_with

SINFO = "debug*|up|infinite\nshort|up|1:00:00\nlong|up|7-00:00:00\nclosed|down|infinite\n"

# The layout of qstat -Q is that of PBS Professional 2022.1's reference guide; of bqueues, Spectrum LSF 10.1's.
QSTAT = """\
Queue              Max   Tot Ena Str   Que   Run   Hld   Wat   Trn   Ext Type
---------------- ----- ----- --- --- ----- ----- ----- ----- ----- ----- ----
workq                0     3 yes yes     1     2     0     0     0     0 Exec
old                  0     0  no yes     0     0     0     0     0     0 Exec
"""
BQUEUES = """\
QUEUE_NAME      PRIO STATUS          MAX JL/U JL/P JL/H NJOBS  PEND   RUN  SUSP
night            40  Open:Inact        -    -    -    -     4     4     0     0
normal           30  Open:Active       -    -    -    -     0     0     0     0
"""


@pytest.mark.parametrize(
    ("settings", "output", "problem"),
    [
        (SlurmProvider(partition="debug"), SINFO, ""),
        (SlurmProvider(partition="short,long", walltime=3600), SINFO, ""),
        (SlurmProvider(), SINFO, ""),
        (SlurmProvider(partition="debog"), SINFO, "There is no partition 'debog'. Did you mean 'debug'?"),
        (SlurmProvider(partition="closed"), SINFO, "The partition 'closed' takes or starts no jobs now."),
        (
            SlurmProvider(partition="short", walltime="02:00:00"),
            SINFO,
            "walltime is 2 h 0 min, and the partition 'short'",
        ),
        (SlurmProvider(partition="long", walltime=8 * 86400), SINFO, "allows only 168 h 0 min"),
        (SlurmProvider(partition="debug"), "", ""),
        (PBSProProvider(queue="workq"), QSTAT, ""),
        (PBSProProvider(queue="old"), QSTAT, "takes or starts no jobs now"),
        (PBSProProvider(queue="workqs"), QSTAT, "Did you mean 'workq'?"),
        (LSFProvider(queue="normal"), BQUEUES, ""),
        (LSFProvider(queue="night"), BQUEUES, "takes or starts no jobs now"),
        (GridEngineProvider(queue="all.q@node1"), "all.q\n", ""),
        (GridEngineProvider(queue="al.q"), "all.q\n", "Did you mean 'all.q'?"),
    ],
)
def test_queue_that_is_missing_closed_or_too_short_is_named(settings, output, problem):
    assert problem in problem_with(settings, Completed(0, output, ""))
    assert bool(problem) == bool(problem_with(settings, Completed(0, output, "")))
    assert problem_with(settings, Completed(1, output, "down")) == ""


def test_queues_that_are_closed_are_not_proposed():
    problem = problem_with(SlurmProvider(partition="closed"), Completed(0, SINFO, ""))
    assert problem.endswith("Choose another one: debug, long, short.")


def test_command_asks_the_clusters_of_the_settings():
    assert "--clusters=big" in QUEUES["slurm"].command(SlurmProvider(clusters="big"))
