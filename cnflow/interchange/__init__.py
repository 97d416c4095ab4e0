"""Matches queued tasks with connected managers. Own process; never unpickles what it carries."""
