"""Other systems' names for what cnflow does, for scripts that are to run unchanged."""
