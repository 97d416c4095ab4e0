"""Stand-ins for schedulers that cannot be installed here: they run the jobs, and print what the manuals show.

::

    qsub, bsub, ...  (bin folder)      front end: parses its scheduler's options, prints its scheduler's formats
        │  one JSON line over spool/socket
        v
    scheduler (one process)            a queue, nodes with slots, walltimes, arrays, history
        │  a session per job
        v
    the job's script                   with its scheduler's variables, on this machine under the names of the nodes

What a stand-in is not: a proof that the real scheduler accepts the same. The front ends name the manual and its
version for each format that they print.
"""
