"""The version of Parsl whose names and parameters these are."""

VERSION = "2026.10.26"
