"""The contract of providers on real Slurm whose login node is reached by ssh, with tcsh and a profile that prints."""

import pytest

from cnflow.channels import SSHChannel
from cnflow.config import SlurmProvider
from tests.conftest import slurm_conf
from tests.services.sshd_server import Sshd
from tests.services.test_slurm_provider import SlurmContract


@pytest.fixture(scope="module")
def channel(tmp_path_factory):
    shell = 'echo Welcome; exec tcsh -c "$SSH_ORIGINAL_COMMAND"'
    server = Sshd(tmp_path_factory.mktemp("login") / "sshd", force_command=shell)
    yield server.settings(SSHChannel, environment={"SLURM_CONF": str(slurm_conf("slurm"))})
    server.stop()


@pytest.mark.long
@pytest.mark.slurm
@pytest.mark.sshd
@pytest.mark.timeout(300)
class TestSlurmOverSsh(SlurmContract):
    @pytest.fixture
    def settings(self, channel, tmp_path_factory):
        site = str(tmp_path_factory.getbasetemp() / "a site's 50%")  # one for all tests: cnflow's code is sent once
        return SlurmProvider(channel=channel, site_dir=site, exclusive=False, runtime="none", walltime=600)
