"""Moves the files of a task where the task runs."""
