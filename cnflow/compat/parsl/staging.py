"""Parsl's list of stagings, which scripts add to."""

from cnflow import staging

default_staging = staging.default_staging
