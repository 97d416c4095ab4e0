"""Worker processes: how each is started, supplied with tasks and ended."""
