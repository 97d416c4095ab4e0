"""Tests of the files of jobs at a site whose connection breaks."""

from types import SimpleNamespace

import pytest

from cnflow.errors import ChannelError
from cnflow.providers.batch.files import JobFiles, JobPaths


@pytest.fixture
def site():
    """A site that fails so many times, and keeps the commands that it then runs."""
    made = SimpleNamespace(failures=0, commands=[], path_of=lambda path: f"/s/{path}")

    def run(argv):
        if made.failures:
            made.failures -= 1
            raise ChannelError("The connection broke.")
        made.commands.append(argv)

    made.channel = SimpleNamespace(run=run)
    return made


@pytest.fixture
def files(site):
    made = JobFiles(site)
    made.add("7", JobPaths("r1", "htex", "cnflow-r1-htex-0", 0, is_array=False))
    return made


def test_keys_are_removed_over_the_connection_that_is_made_again(files, site):
    site.failures = 1
    files.on_over(["7"], 0)
    files.on_over(["7"], 0)
    assert site.commands == [["rm", "-f", "--", "/s/runs/r1/htex/cnflow-r1-htex-0.settings.0"]]


def test_keys_that_cannot_be_removed_are_tried_with_the_next_jobs(files, site, caplog):
    site.failures = 2
    files.on_over(["7"], 0)
    assert "stay at the site for now: The connection broke." in caplog.text
    files.on_over(["7"], 0)
    assert len(site.commands) == 1
