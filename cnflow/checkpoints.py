"""Names of `cnflow.checkpoints` in version 0.1: checkpoints of earlier runs, for ``Config(checkpoint_files=...)``.

`get_all_checkpoints` and `get_last_checkpoint` are also names of `cnflow` itself, by which new scripts import them.
"""

from cnflow.dataflow.memo.checkpoint_paths import get_all_checkpoints, get_last_checkpoint
from cnflow.units import seconds_of_period

__all__ = ["get_all_checkpoints", "get_last_checkpoint", "seconds_of_period"]
