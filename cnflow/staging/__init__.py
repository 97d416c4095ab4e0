"""Stagings, which move files to the nodes of tasks and back; `staging_for` chooses one for each file."""

from cnflow.staging.downloads import (
    FTPInTaskStaging,
    FTPSeparateTaskStaging,
    HTTPInTaskStaging,
    HTTPSeparateTaskStaging,
)
from cnflow.staging.file import NoOpFileStaging
from cnflow.staging.select import Direction, default_staging, staging_for
from cnflow.staging.zip import ZipFileStaging

__all__ = [
    "Direction",
    "FTPInTaskStaging",
    "FTPSeparateTaskStaging",
    "HTTPInTaskStaging",
    "HTTPSeparateTaskStaging",
    "NoOpFileStaging",
    "ZipFileStaging",
    "default_staging",
    "staging_for",
]
