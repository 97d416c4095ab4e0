"""Processes of this machine, as /proc has them."""

from pathlib import Path


def children_of(pid):
    """Ids of the processes that *pid* has started and that are there."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found
