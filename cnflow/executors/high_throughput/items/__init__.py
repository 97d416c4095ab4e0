"""Items of one executor in the driver: what it offers to tasks, and what it fetches of theirs."""
