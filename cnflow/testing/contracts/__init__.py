"""Contracts of cnflow's seams as pytest classes, to be run on every implementation; these modules need pytest."""
