"""Database of monitoring: its tables, the journal before it, and the process that writes it."""
