"""Batch schedulers: one driver for all, and a dialect of pure functions for each."""
