"""Places of tasks: what the driver knows of each manager that ran some, for `AppFuture.provenance`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.model.provenance import Place

if TYPE_CHECKING:
    from cnflow.ids import ManagerId
    from cnflow.model.image_identity import ImageIdentity
    from cnflow.wire.manager_messages import ManagerInfo


def words_on(manager: ManagerId, info: ManagerInfo) -> str:
    """Return the name of *manager* in a message: with its host, its block, its node there if that has several."""
    node = f" (node {info.node_rank} of {info.nodes})" if info.nodes > 1 else ""
    return f"manager {manager.hex()} on {info.host}, block {info.block}{node}{info.image and f', image {info.image}'}"


class Places(dict[int, Place]):
    """Place of each manager by its number (`ManagerUp.number`); kept after its end, since results may come later.

    Args:
        run: id of the run.
        executor: label.

    Attributes:
        image_id, digest, packages: those of the executor's image, once it is prepared.
    """

    def __init__(self, run: str, executor: str) -> None:
        super().__init__()
        self._run = run
        self._executor = executor
        self.image_id = self.digest = self.packages = ""

    def on_prepared(self, image: ImageIdentity) -> None:
        """Keep what is known of the executor's image, before managers register."""
        self.image_id, self.digest, self.packages = str(image), image.facts.digest, image.facts.packages

    def add(self, number: int, manager: ManagerId, info: ManagerInfo) -> None:
        """Add a manager that has registered."""
        self[number] = self.place_of(manager, info)

    def place_of(self, manager: ManagerId, info: ManagerInfo) -> Place:
        """Return the place of the tasks of *manager*."""
        return Place(
            self._run,
            self._executor,
            info.image,
            self.digest,
            self.image_id,
            info.host,
            info.block,
            manager.hex(),
            info.python_version,
            info.packages or self.packages,
        )
