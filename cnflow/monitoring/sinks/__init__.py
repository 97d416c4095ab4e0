"""Sinks that come with cnflow: one module each."""
