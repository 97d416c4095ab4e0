"""Web pages, JSON and metrics of runs; a process of its own."""
