"""Decides which manager runs which task. No I/O.

A task is *plain* if it has no needs (`cnflow.wire.manager_messages.Needs`)::

    dispatch: is any task not plain, or has any block an end?
     │
     ├── no ───> `fifo.fill_slots` on `plain_queue.PlainQueue`: counts only; the work grows with the tasks, not with
     │           the managers
     │
     └── yes ──> `resource_aware.ResourceScheduler.schedule`, in order of priority, then of submission:
                  │
                  ├── the head of a `task_groups.TaskGroup` (same needs, like durations)
                  │    ├── fits a node of `free_nodes.FreeNodes`: a free worker, the resources, enough time
                  │    │   (`deadlines.DeadlineFilter`, `end_order.EndOrder`) ────> sent to that node's manager
                  │    ├── fits none now, and is the first to wait for a kind of node, or waits for long
                  │    │   (`reservations.Reservations`) ───────────────────────────> nodes are reserved for it
                  │    ├── fits none now ─────────────────────────────────────────> waits; later tasks may go first
                  │    └── fits no node, for sure (`node_kinds.NodeKinds`) ────────> result DOES_NOT_FIT
                  │
                  └── plain tasks: `fifo.fill_slots` on the nodes that are not reserved, as far as there is time
"""
