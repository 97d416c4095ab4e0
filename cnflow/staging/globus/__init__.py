"""Staging by Globus transfers, which run between collections, while the driver submits and watches them.

::

    staging  GlobusStaging, what the user writes: the seam
    paths    places on collections, and the same files on nodes (pure)
    events   copies, states of transfers, actions
    state    which copies go into which transfer, and what follows from its state (pure)
    copies   copies on this machine, and futures that follow each other
    loop     the thread that acts as `state` decides
    client   calls of the service; the only importer of the SDK
"""

from cnflow.staging.globus.staging import GlobusStaging

__all__ = ["GlobusStaging"]
