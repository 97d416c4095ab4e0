"""Tables of the database of monitoring.

::

    workflow ──< task ──< try ──< resource         workflow ──< block ──< node ──< node_resource
        │          ├────< status                       ├──< image          (a try names its manager, a node its image)
        │          ├────< dependency (of it on `needs`)
        │          └────< file                         ├──< error_group    (a failed task names its group)
        ├──< event (what has no table of its own)      ├──< progress       (counts per second and app)
        └──< model_version ──< model_histogram         └──< model_progress (counts per interval and version)

Tables and columns of Parsl's database keep their names and meaning, so that queries for it work; others are added.
Times are UTC without a zone, as Parsl's; durations are seconds. Every table begins with the run it belongs to, and
every key begins with `run_id`.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Float, Index, Integer, LargeBinary, MetaData, Table, Text

metadata = MetaData()

workflow = Table(
    "workflow",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("workflow_name", Text),
    Column("workflow_version", Text),
    Column("time_began", DateTime, nullable=False, index=True),
    Column("time_completed", DateTime),
    Column("host", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("rundir", Text, nullable=False),
    Column("tasks_failed_count", Integer, nullable=False, default=0),
    Column("tasks_completed_count", Integer, nullable=False, default=0),
    # of cnflow alone
    Column("state", Text, nullable=False),  # running, ended, crashed: its driver was gone without an end
    Column("script", Text),
    Column("python", Text),
    Column("cnflow", Text),
    Column("config", Text),  # JSON, without secrets
    Column("tasks_count", Integer, nullable=False, default=0),
    Column("tasks_cancelled_count", Integer, nullable=False, default=0),
    Column("samples_dropped_count", Integer, nullable=False, default=0),
    Column("time_updated", DateTime),  # last event
)

task = Table(
    "task",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("task_id", BigInteger, primary_key=True),
    Column("task_depends", Text),  # ids, separated by commas
    Column("task_func_name", Text, nullable=False),
    Column("task_memoize", Text, nullable=False),
    Column("task_hashsum", Text),
    Column("task_inputs", Text),
    Column("task_outputs", Text),
    Column("task_stdin", Text),
    Column("task_stdout", Text),
    Column("task_stderr", Text),
    Column("task_time_invoked", DateTime),
    Column("task_time_returned", DateTime),
    Column("task_fail_count", Integer, nullable=False, default=0),
    Column("task_fail_cost", Float, nullable=False, default=0.0),
    # of cnflow alone
    Column("task_state", Text, nullable=False),  # as in `status`
    Column("task_executor", Text),
    Column("task_image", Text),  # digest where there is one, else the reference
    Column("task_hostname", Text),  # of the last try
    Column("task_arguments", Text),  # summary, bounded
    Column("task_resources", Text),  # JSON of what was asked
    Column("task_run_seconds", Float),  # of the last try
    Column("task_error", Text),  # first line of the last error
    Column("task_error_group", Text),
    Column("task_joins", Text),
    Index("task_by_state", "run_id", "task_state", "task_id"),
    Index("task_by_app", "run_id", "task_func_name", "task_id"),
    Index("task_by_host", "run_id", "task_hostname", "task_id"),
    Index("task_by_image", "run_id", "task_image", "task_id"),
    Index("task_by_error", "run_id", "task_error_group", "task_id"),
    sqlite_with_rowid=False,
)

attempt = Table(
    "try",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("task_id", BigInteger, primary_key=True),
    Column("try_id", Integer, primary_key=True),
    Column("block_id", Text),
    Column("hostname", Text),
    Column("task_executor", Text, nullable=False),
    Column("task_try_time_launched", DateTime),
    Column("task_try_time_running", DateTime),
    Column("task_try_time_returned", DateTime),
    Column("task_fail_history", Text),  # error of this try, in a line
    Column("task_joins", Text),
    # of cnflow alone
    Column("manager_id", Text),
    Column("worker", Integer),
    Column("image", Text),
    Column("state", Text),
    Column("error_type", Text),
    Column("traceback", Text),
    Column("stderr_tail", Text),
    Column("exit_code", Integer),
    Column("signal", Text),  # name, or "OOM"
    Column("cpu_seconds", Float),
    Column("peak_rss_bytes", BigInteger),
    Column("read_bytes", BigInteger),
    Column("written_bytes", BigInteger),
    Column("gpu_peak_bytes", BigInteger),
    Index("try_by_place", "run_id", "manager_id", "worker"),
    sqlite_with_rowid=False,
)

status = Table(
    "status",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("task_id", BigInteger, primary_key=True),
    Column("try_id", Integer, primary_key=True),
    Column("timestamp", DateTime, primary_key=True),
    Column("task_status_name", Text, primary_key=True),
    sqlite_with_rowid=False,
)

dependency = Table(
    "dependency",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("needs", BigInteger, primary_key=True),
    Column("task_id", BigInteger, primary_key=True),
    Index("dependency_by_task", "run_id", "task_id"),
    sqlite_with_rowid=False,
)

resource = Table(
    "resource",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("task_id", BigInteger, primary_key=True),
    Column("try_id", Integer, primary_key=True),
    Column("timestamp", DateTime, primary_key=True),
    Column("resource_monitoring_interval", Float),
    Column("psutil_process_pid", Integer),
    Column("psutil_process_memory_percent", Float),
    Column("psutil_process_children_count", Float),
    Column("psutil_process_time_user", Float),
    Column("psutil_process_time_system", Float),
    Column("psutil_process_memory_virtual", BigInteger),
    Column("psutil_process_memory_resident", BigInteger),
    Column("psutil_process_disk_read", BigInteger),
    Column("psutil_process_disk_write", BigInteger),
    Column("psutil_process_status", Text),
    Column("psutil_cpu_num", Text),
    Column("psutil_process_num_ctx_switches_voluntary", Float),
    Column("psutil_process_num_ctx_switches_involuntary", Float),
    # of cnflow alone
    Column("memory_peak", BigInteger),
    Column("gpu_memory", BigInteger),
    Column("gpu_percent", Float),
    Column("is_final", Boolean, nullable=False, default=False),  # measured by the worker at the end of the try
    sqlite_with_rowid=False,
)

node = Table(
    "node",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("id", Text, primary_key=True),  # of the manager
    Column("hostname", Text, nullable=False),
    Column("uid", Text, nullable=False),  # Parsl's name of the manager's id
    Column("block_id", Text, nullable=False),
    Column("cpu_count", Float, nullable=False),
    Column("total_memory", BigInteger, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("worker_count", Integer, nullable=False),
    Column("python_v", Text, nullable=False),
    Column("timestamp", DateTime, nullable=False),
    Column("last_heartbeat", DateTime, nullable=False),
    # of cnflow alone
    Column("executor_label", Text, nullable=False),
    Column("image", Text),
    Column("gpus", Text),  # names, separated by commas
    Column("time_ended", DateTime),
    Column("reason", Text),
    Column("tasks_count", Integer, nullable=False, default=0),  # that ended there
    Column("busy_seconds", Float, nullable=False, default=0.0),  # summed over them
)

node_resource = Table(
    "node_resource",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("timestamp", DateTime, primary_key=True),
    Column("cpu_percent", Float),
    Column("memory_bytes", BigInteger),
    Column("read_bytes", BigInteger),
    Column("written_bytes", BigInteger),
    Column("gpu_memory", BigInteger),
    Column("gpu_percent", Float),
    Column("busy_workers", Integer),
    sqlite_with_rowid=False,
)

block = Table(
    "block",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("executor_label", Text, primary_key=True),
    Column("block_id", Text, primary_key=True),
    Column("timestamp", DateTime, primary_key=True),
    Column("status", Text, primary_key=True),
    Column("job_id", Text),
    # of cnflow alone
    Column("reason", Text),  # the provider's words
    Column("provider", Text),
    Column("usd", Float),
)

image = Table(
    "image",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("image", Text, primary_key=True),  # as in `task.task_image`
    Column("reference", Text),
    Column("digest", Text),
    Column("image_id", Text),
    Column("python", Text),
    Column("packages", Text),
    Column("tasks_count", Integer, nullable=False, default=0),  # that ended in it
)

file = Table(
    "file",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("task_id", BigInteger, primary_key=True),
    Column("try_id", Integer, primary_key=True),
    Column("direction", Text, primary_key=True),  # in, out
    Column("url", Text, primary_key=True),  # masked
    Column("state", Text),  # moving, moved, failed
    Column("bytes", BigInteger),
    Column("seconds", Float),
    Column("hostname", Text),
    Column("time_started", DateTime),
    Column("time_ended", DateTime),
    Column("error", Text),
    Index("file_by_url", "run_id", "url"),
    sqlite_with_rowid=False,
)

error_group = Table(
    "error_group",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("error_group", Text, primary_key=True),  # digest of type, app and the message without its numbers
    Column("error_type", Text, nullable=False),
    Column("task_func_name", Text, nullable=False),
    Column("message", Text, nullable=False),  # of the first
    Column("count", Integer, nullable=False),
    Column("first_task", BigInteger, nullable=False),
    Column("first_time", DateTime, nullable=False),
    Column("last_time", DateTime, nullable=False),
)

progress = Table(
    "progress",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("second", BigInteger, primary_key=True),  # since 1970
    Column("task_func_name", Text, primary_key=True),
    Column("submitted", Integer, nullable=False, default=0),
    Column("launched", Integer, nullable=False, default=0),
    Column("done", Integer, nullable=False, default=0),
    Column("failed", Integer, nullable=False, default=0),  # with those whose dependency failed
    Column("cancelled", Integer, nullable=False, default=0),
    Column("run_seconds", Float, nullable=False, default=0.0),  # summed over those that ended
    sqlite_with_rowid=False,
)

event = Table(
    "event",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True),  # place in the run's journal
    Column("timestamp", DateTime, nullable=False),
    Column("kind", Text, nullable=False),
    Column("executor_label", Text),
    Column("subject", Text),  # block, manager or interchange
    Column("text", Text),  # JSON
)

model_version = Table(
    "model_version",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("version", Text, primary_key=True),  # empty: requests for which none was chosen
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("image", Text),
    Column("digest", Text),
    Column("weight", Float),  # share of the calls that name no version
    Column("is_shadow", Boolean, nullable=False, default=False),
    Column("workers", Integer),
    Column("in_flight", Integer),
    Column("waiting", Integer),  # of the whole model
    Column("time_first", DateTime, nullable=False),
    Column("time_updated", DateTime, nullable=False),
    Column("requests_count", BigInteger, nullable=False, default=0),
    Column("refused_count", BigInteger, nullable=False, default=0),  # of them, status 4xx
    Column("errors_count", BigInteger, nullable=False, default=0),  # of them, status 5xx
    Column("rows_count", BigInteger, nullable=False, default=0),
    Column("batches_count", BigInteger, nullable=False, default=0),
    Column("copies_count", BigInteger, nullable=False, default=0),  # for a shadow
    Column("copy_errors_count", BigInteger, nullable=False, default=0),
    Column("pieces_count", BigInteger, nullable=False, default=0),
    Column("attempts_count", BigInteger, nullable=False, default=0),
)

model_histogram = Table(
    "model_histogram",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("kind", Text, primary_key=True),  # latency, queue, compute, first_piece: seconds; batch: rows
    Column("upper", Float, primary_key=True),  # end of the bucket; 1e12 for the last
    Column("count", BigInteger, nullable=False, default=0),
    sqlite_with_rowid=False,
)

model_progress = Table(
    "model_progress",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("second", BigInteger, primary_key=True),  # since 1970, end of an interval of some seconds
    Column("model", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("requests", Integer, nullable=False, default=0),
    Column("refused", Integer, nullable=False, default=0),
    Column("errors", Integer, nullable=False, default=0),
    Column("rows", Integer, nullable=False, default=0),
    Column("batches", Integer, nullable=False, default=0),
    Column("in_flight", Integer),
    Column("waiting", Integer),
    Column("workers", Integer),
    Column("latency_p50", Float),
    Column("latency_p99", Float),
    sqlite_with_rowid=False,
)

journal_position = Table(
    "journal_position",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column(
        "position", BigInteger, nullable=False
    ),  # what lies before it in the journal is in the tables: same transaction
    Column("state", LargeBinary),  # what the writer has to remember to go on
)
