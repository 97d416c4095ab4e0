"""How many blocks there are: `strategy` decides, `fleet` knows each block, `controller` speaks with the provider."""

from cnflow.blocks.controller import BlockController
from cnflow.blocks.strategy import BlockView, Change, Drain, Limits, Situation, Start, htex_auto_scale, none, simple
from cnflow.blocks.wires import Scaling, Wires

__all__ = [
    "BlockController",
    "BlockView",
    "Change",
    "Drain",
    "Limits",
    "Scaling",
    "Situation",
    "Start",
    "Wires",
    "htex_auto_scale",
    "none",
    "simple",
]
