"""Provider of blocks that are processes on this machine."""
