"""Workers of standing pools, which others have started."""
