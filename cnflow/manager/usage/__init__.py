"""What tasks and the node use: measured by a thread of the manager, and packed for the store of the run.

Flow: `sampler` (thread) reads `processes`, `node` and `nvml`; `samples` adds what workers report as tasks end.
"""
