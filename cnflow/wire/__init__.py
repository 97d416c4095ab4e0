"""Bytes between driver, interchange, manager and worker.

`messages` are the control messages (MessagePack, never pickles); `payload` is what users' values become; `pipe` is the
framing between a manager and its workers; `sockets` and `keys` hold all that is said to ZeroMQ.

A worker imports `payload` and `pipe` only, which need nothing but the standard library and cloudpickle.
"""
