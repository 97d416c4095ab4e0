"""Version of Parsl that the names and parameters follow."""

VERSION = "2026.10.26"
