"""Stages files on the node where a task runs, or in a thread of the driver."""
