"""Stagings, which move files to the nodes of tasks and back; `staging_for` chooses one for each file."""

from cnflow.staging.built_in import BuiltInStaging
from cnflow.staging.file import NoOpFileStaging
from cnflow.staging.globus import GlobusStaging
from cnflow.staging.image_file import ImageFileStaging
from cnflow.staging.rsync import RSyncStaging
from cnflow.staging.select import BUILT_IN, Direction, default_staging, staging_for
from cnflow.staging.servers import (
    FTPInTaskStaging,
    FTPSeparateTaskStaging,
    HTTPInTaskStaging,
    HTTPSeparateTaskStaging,
)
from cnflow.staging.stores import FsspecStaging
from cnflow.staging.zip import ZipFileStaging, ZipInTaskStaging

__all__ = [
    "BUILT_IN",
    "BuiltInStaging",
    "Direction",
    "FTPInTaskStaging",
    "FTPSeparateTaskStaging",
    "FsspecStaging",
    "GlobusStaging",
    "HTTPInTaskStaging",
    "HTTPSeparateTaskStaging",
    "ImageFileStaging",
    "NoOpFileStaging",
    "RSyncStaging",
    "ZipFileStaging",
    "ZipInTaskStaging",
    "default_staging",
    "staging_for",
]
