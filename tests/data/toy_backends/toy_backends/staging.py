"""A staging for files that the driver holds in memory: ``toy:NAME``."""

import os

from cnflow.interfaces import Staging

CONTENTS = {"greeting.txt": "hello from memory"}


class ToyMemoryStaging(Staging):
    """Stages in ``toy:NAME``.

    Args:
        suffix: added to every content.
    """

    schemes = ("toy",)

    def __init__(self, suffix=""):
        self.suffix = suffix

    def can_stage_in(self, file):
        return file.scheme == "toy"

    def stage_in(self, dm, executor, file, parent_fut):
        file.local_path = dm.place(executor, file.filename)
        return dm.submit(executor, bring, file, CONTENTS[file.filename] + self.suffix, after=parent_fut)


def bring(file, text):
    """The task that writes *text* where the file is to be."""
    placed = file.cleancopy()
    placed.local_path = os.path.abspath(file.filepath)
    os.makedirs(os.path.dirname(placed.local_path), exist_ok=True)
    with open(placed.local_path, "w") as copy:
        copy.write(text)
    return placed
