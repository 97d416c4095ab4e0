"""The node: its cores, memory and accelerators, and their assignment to workers."""
