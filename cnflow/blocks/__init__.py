"""Scaling: `strategy` decides how many blocks there are, `state` follows each block, `loop` calls the provider.

::

    Config(strategy=) ──> strategy ──> state ──actions──> loop ──> interfaces.Provider
                                         ▲                 │
                                         └─────events──────┴──── executor, interchange
"""

from cnflow.blocks.callbacks import Callbacks, Demand, Scaling
from cnflow.blocks.factory import make_blocks
from cnflow.blocks.loop import BlockController
from cnflow.blocks.strategy import BlockView, Change, Drain, Limits, Situation, Start, htex_auto_scale, none, simple

__all__ = [
    "BlockController",
    "BlockView",
    "Callbacks",
    "Change",
    "Demand",
    "Drain",
    "Limits",
    "Scaling",
    "Situation",
    "Start",
    "htex_auto_scale",
    "make_blocks",
    "none",
    "simple",
]
