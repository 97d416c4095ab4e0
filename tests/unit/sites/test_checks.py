"""Findings about a site's folders and runtimes."""

from cnflow.config.runtimes import AutoRuntime, NoRuntime
from cnflow.interfaces.channel import Completed
from cnflow.model.finding import Verdict
from cnflow.runtimes import ApptainerRuntime
from cnflow.sites.checks import programs_of, runtime_finding, space_finding


def test_folder_that_can_be_written_shows_its_room():
    found = space_finding("/scratch", Completed(0, f"{50 * 2**20}\n", ""))
    assert (found.verdict, found.found) == (Verdict.GOOD, "can be written; 50.0 GiB of its file system are free")


def test_folder_that_is_nearly_full_or_over_quota_has_advice():
    nearly = space_finding("/home/ada", Completed(0, "1024\n", ""))
    over = space_finding("/home/ada", Completed(1, "", "head: write error: Disk quota exceeded"))
    assert nearly.verdict is Verdict.ABSENT
    assert over.verdict is Verdict.BAD
    assert "Disk quota exceeded" in over.found
    assert "site_dir=" in nearly.advice
    assert "site_dir=" in over.advice


def test_programs_are_those_of_the_runtime_or_of_all_for_the_automatic_one():
    assert programs_of(NoRuntime()) == []
    assert programs_of(ApptainerRuntime()) == ["apptainer", "singularity"]
    assert programs_of(ApptainerRuntime(program="/opt/apptainer")) == ["/opt/apptainer"]
    assert {"apptainer", "podman-hpc", "shifter", "ch-run", "docker"} <= set(programs_of(AutoRuntime()))


def test_login_node_without_a_runtime_is_no_error_since_nodes_may_have_it():
    found = runtime_finding(ApptainerRuntime(), [], ["apptainer", "singularity"])
    assert found.verdict is Verdict.ABSENT
    assert "module load apptainer" in found.advice
