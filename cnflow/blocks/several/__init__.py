"""Shares of several providers in the blocks of one executor: who is asked, for how much, and who is passed over.

Each provider has a block controller of its own, so that one that hangs or fails holds up no other; `shares` decides,
without I/O, what part of the tasks each of them sees.
"""
