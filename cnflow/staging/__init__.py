"""Moves files to where a task sees them, and back; the kernel asks `staging_for` who is to do it."""

from cnflow.staging.choice import Direction, default_staging, staging_for
from cnflow.staging.files import NoOpFileStaging

__all__ = ["Direction", "NoOpFileStaging", "default_staging", "staging_for"]
