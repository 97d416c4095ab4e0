"""Parsl's list of stagings, to which scripts append."""

from cnflow import staging

default_staging = staging.default_staging
