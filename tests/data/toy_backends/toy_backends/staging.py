"""A staging for files that the driver holds in memory: ``toy:/NAME``."""

import os

from cnflow.errors import StagingError
from cnflow.interfaces import Staging

CONTENTS = {"/greeting.txt": b"hello from memory"}


class ToyMemoryStaging(Staging):
    """Stages in ``toy:/NAME``.

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
        content = CONTENTS.get(file.path)
        if content is not None:
            content += self.suffix.encode()
        return dm.submit(executor, bring, file, content, after=parent_fut)


def bring(file, content):
    """The task that writes *content* where the file is to be."""
    if content is None:
        raise StagingError(f"{file.url} is not in memory")
    placed = file.cleancopy()
    placed.local_path = os.path.abspath(file.filepath)
    os.makedirs(os.path.dirname(placed.local_path), exist_ok=True)
    with open(placed.local_path, "wb") as copy:
        copy.write(content)
    return placed
