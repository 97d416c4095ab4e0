"""How many blocks there are: `strategy` decides, `fleet` knows each block, `controller` speaks with the provider."""

from cnflow.blocks.callbacks import Callbacks, Scaling
from cnflow.blocks.loop import BlockController
from cnflow.blocks.strategy import BlockView, Change, Drain, Limits, Situation, Start, htex_auto_scale, none, simple

__all__ = [
    "BlockController",
    "BlockView",
    "Callbacks",
    "Change",
    "Drain",
    "Limits",
    "Scaling",
    "Situation",
    "Start",
    "htex_auto_scale",
    "none",
    "simple",
]
