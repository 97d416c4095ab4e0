"""Sends local packages to workers, as folders of files; the worker's side is `cnflow.tasks.local_packages`.

::

    local_packages=["shop", "./tools"] ──find──> folders and modules ──overlay──> one record, under the digest of all
    function of a task ──────────────────────────────────────────────────────────> with the record, under another id
"""
