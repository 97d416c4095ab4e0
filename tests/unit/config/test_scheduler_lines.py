"""Lines for the scheduler, and variables, in the settings of batch schedulers."""

import pytest

from cnflow.config import AdHocProvider, CondorProvider, PBSProProvider, SlurmProvider
from cnflow.config.gridengine import GridEngineProvider
from cnflow.errors import ConfigurationError


@pytest.mark.parametrize(
    ("settings", "line", "advice"),
    [
        (SlurmProvider, "--mem=4G", "Write '#SBATCH --mem=4G'"),
        (SlurmProvider, "#SBATCH --mem=4G\n  #SBATCH -x n1", "Write '#SBATCH -x n1'"),
        (SlurmProvider, "# SBATCH -x n1", "Write '#SBATCH -x n1'"),
        (PBSProProvider, "PBS -l place=excl", "Write '#PBS -l place=excl'"),
        (GridEngineProvider, "-l h_vmem=4G", "Write '#$ -l h_vmem=4G'"),
        (GridEngineProvider, "# $ -l h_vmem=4G", "Write '#$ -l h_vmem=4G'"),
    ],
)
def test_options_that_the_scheduler_would_not_see_are_refused(settings, line, advice):
    with pytest.raises(ConfigurationError, match="scheduler_options") as refused:
        settings(scheduler_options=line)
    assert advice in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "lines"),
    [
        (SlurmProvider, "#SBATCH --mem=4G\n\n# more for large inputs\n##SBATCH --mem=8G\nexport SBATCHES=1"),
        (PBSProProvider, "#PBS -l place=excl"),
        (GridEngineProvider, "#$ -l h_vmem=4G\n$HOME/prepare"),
        (CondorProvider, "+WantGPULab = true"),
    ],
)
def test_lines_of_the_scheduler_comments_and_commands_pass(settings, lines):
    assert settings(scheduler_options=lines).scheduler_options == lines


@pytest.mark.parametrize(
    "made",
    [
        lambda: SlurmProvider(environment={"A B": "x"}),
        lambda: AdHocProvider(hosts=["n1"], environment={"A;B": "x"}),
    ],
)
def test_a_variable_that_no_shell_can_set_is_refused(made):
    with pytest.raises(ConfigurationError, match="is no name of a variable"):
        made()
