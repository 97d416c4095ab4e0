"""Worker processes: how each is started, fed and ended."""
