"""Lists of hosts as Slurm writes them."""

import pytest

from cnflow.providers.batch.host_lists import expand


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ()),
        ("(null)", ()),
        ("n1", ("n1",)),
        ("n[1-3]", ("n1", "n2", "n3")),
        ("n[01-03,7],m1", ("n01", "n02", "n03", "n7", "m1")),
        ("rack[0-1]n[1-2]", ("rack0n1", "rack0n2", "rack1n1", "rack1n2")),
        ("n[1,3].site.org", ("n1.site.org", "n3.site.org")),
    ],
)
def test_list_is_written_out(text, names):
    assert expand(text) == names
