"""Matches queued tasks with connected managers. A process of its own, which never unpickles what it carries.

`state` decides, without I/O, and returns `actions`; `loop` moves the bytes. `scheduler` decides which manager gets
which task; `recovery` is the state after a restart.
"""
