"""Bytes between driver, interchange, manager and worker.

======================= ==================================== =====================================================
Between                 Transport                            Content
======================= ==================================== =====================================================
driver, interchange     `stream`, a socket pair              `messages`
interchange, managers   `sockets`, ZeroMQ with CURVE `keys`  `messages` and `manager_messages`
manager, worker         `pipe`, a socket pair                `pipe.Record`
======================= ==================================== =====================================================

Messages are MessagePack, never pickles; users' values travel inside as bytes that `serialization` makes.
A worker imports `serialization` and `pipe` only, which need nothing but the standard library and cloudpickle.
"""
