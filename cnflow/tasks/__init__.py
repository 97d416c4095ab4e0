"""Runs one call of an app. Shared by worker processes and by threads of the driver; written for Python 3.8."""
