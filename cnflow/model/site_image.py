"""An image as a site has it: a file, a folder, or a name in the storage of a container runtime."""

from __future__ import annotations

import enum
from typing import NamedTuple

NODE_IMAGE = "CNFLOW_NODE_IMAGE"
"""Variable of a job with the path of the node's own copy of an image file, if the node has one."""


class ImageForm(enum.Enum):
    """Form in which a runtime takes an image."""

    NONE = "none"
    """No image: the bare node."""

    SIF = "sif"
    """One file, of Apptainer and Singularity."""

    FOLDER = "folder"
    """An unpacked root file system, of Charliecloud."""

    ARCHIVE = "archive"
    """A Docker archive, which each node loads into the storage of its engine: Docker, Podman."""

    REFERENCE = "reference"
    """A name that the site's own gateway resolves: Shifter, podman-hpc."""


class SiteImage(NamedTuple):
    """What a runtime gets in the place of the user's image."""

    reference: str = ""
    """As the user named it; empty is the bare node."""

    form: ImageForm = ImageForm.NONE
    path: str = ""
    """At the site, of the SIF, the folder or the archive; empty for a reference."""

    digest: str = ""
    """Of the image in its registry, or of its content; empty if not known."""
