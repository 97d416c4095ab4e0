"""How many blocks there are: `strategy` decides, `controller` applies it to a provider."""

from cnflow.blocks.controller import BlockController

__all__ = ["BlockController"]
