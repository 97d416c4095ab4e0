"""Runs tasks in threads of the driver."""
