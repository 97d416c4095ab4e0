"""Decides which manager runs which task. No I/O.

A task is *plain* if it has no needs (`cnflow.wire.manager_messages.Needs`)::

    dispatch: is any task not plain, or has any block an end?
     │
     ├── no ───> `fifo.fill_slots`: counts only; the work grows with the tasks, not with the managers
     │
     └── yes ──> `resource_aware.ResourceScheduler.schedule`, in order of priority, then of submission:
                  │
                  ├── the first task of a `task_groups.TaskGroup` (same needs, walltime and function)
                  │    ├── fits a node: a free worker, the resources (`node.NodeCapacity`), enough time
                  │    │   (`deadlines.DeadlineFilter`) ────────────────────────> sent to that node's manager
                  │    ├── fits none now, and is the first to wait ────────────> one node is reserved for it
                  │    ├── fits none now ──────────────────────────────────────> waits; later tasks may go first
                  │    └── fits no node that ever registered ──────────────────> result DOES_NOT_FIT
                  │
                  └── plain tasks: `fifo.fill_slots` on the nodes that are not reserved, as far as there is time
"""
