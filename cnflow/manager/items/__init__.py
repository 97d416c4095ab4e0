"""Items of a node (`cnflow.model.item`): what its tasks need, what they leave, and the files of both.

::

    Task.items ──> needs: which task waits for what ──Want──> bulk_link ──Chunk──> files: partial ──verified──> objects/
                                                                                                                  │
    worker ──ITEM record──> left ──the task's VALUE──> shelf: kept until Release <── objects/ <──adopted── files   │
                                                         └── Want of others ──> files: read ──> Chunk             v
                                                                              tasks of this node open or map them

`needs`, `left` and `shelf` decide and do no I/O; `files` has a thread of its own, so that no disk holds up a heartbeat.
"""
