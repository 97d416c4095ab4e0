"""Blocks that are processes of this machine."""
