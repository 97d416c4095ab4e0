"""Runs one call of an app. Shared by worker processes and the threads of the driver."""
