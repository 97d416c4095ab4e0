"""The connection to an engine, with errors in cnflow's words. The only importer of the SDK.

`engine` asks it and gives it orders, `streams` are the connections that stay open, `failures` turns the SDK's errors
into cnflow's.
"""

from cnflow.providers.docker.client.engine import Engine
from cnflow.providers.docker.client.streams import Attached, Events

__all__ = ["Attached", "Engine", "Events"]
