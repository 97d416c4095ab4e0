"""The node: its cores, memory and accelerators, and what each worker gets of them."""
