"""Parsl's queries of the database of monitoring, as tables of pandas, which users install themselves.

*db* is whatever `pandas.read_sql_query` takes: an engine or a connection of SQLAlchemy, or one of sqlite3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def app_counts_for_workflow(workflow_id: str, db: Any) -> pd.DataFrame:  # noqa: ANN401 - of several libraries
    """Number of tasks by app: ``task_func_name`` and ``frequency``."""
    query = "SELECT task_func_name, count(*) AS frequency FROM task WHERE run_id = :run GROUP BY task_func_name"
    return _select(query, db, workflow_id)


def nodes_for_workflow(workflow_id: str, db: Any) -> pd.DataFrame:  # noqa: ANN401 - of several libraries
    """Rows of ``node``."""
    query = "SELECT * FROM node WHERE run_id = :run"
    return _select(query, db, workflow_id)


def resources_for_workflow(workflow_id: str, db: Any) -> pd.DataFrame:  # noqa: ANN401 - of several libraries
    """Rows of ``resource``."""
    query = "SELECT * FROM resource WHERE run_id = :run"
    return _select(query, db, workflow_id)


def resources_for_task(workflow_id: str, task_id: int, db: Any) -> pd.DataFrame:  # noqa: ANN401 - of several libraries
    """Rows of ``resource`` of one task."""
    query = "SELECT * FROM resource WHERE run_id = :run AND task_id = :task"
    return _select(query, db, workflow_id, task_id)


def status_for_workflow(workflow_id: str, db: Any) -> pd.DataFrame:  # noqa: ANN401 - of several libraries
    """Changes of tasks' states."""
    query = "SELECT run_id, task_id, task_status_name, timestamp FROM status WHERE run_id = :run"
    return _select(query, db, workflow_id)


def completion_times_for_workflow(workflow_id: str, db: Any) -> pd.DataFrame:  # noqa: ANN401 - of several libraries
    """Time at which each task was final."""
    query = "SELECT task_id, task_func_name, task_time_returned FROM task WHERE run_id = :run"
    return _select(query, db, workflow_id)


def tasks_for_workflow(workflow_id: str, db: Any) -> pd.DataFrame:  # noqa: ANN401 - of several libraries
    """Rows of ``task``."""
    query = "SELECT * FROM task WHERE run_id = :run"
    return _select(query, db, workflow_id)


def tries_for_workflow(workflow_id: str, db: Any) -> pd.DataFrame:  # noqa: ANN401 - of several libraries
    """Tries with the app and the end of their task."""
    query = (
        "SELECT task.task_id, task_func_name, task_time_returned, task_try_time_running, task_try_time_returned "
        "FROM task, try WHERE task.task_id = try.task_id AND task.run_id = :run AND try.run_id = :run"
    )
    return _select(query, db, workflow_id)


def _select(query: str, db: Any, run: str, task: int = -1) -> pd.DataFrame:  # noqa: ANN401 - of several libraries
    """Return the rows of *query* with the ids in place of ``:run`` and ``:task``; libraries differ in parameters."""
    import pandas as pd  # noqa: PLC0415 - no dependency of cnflow

    quoted = "'" + str(run).replace("'", "''") + "'"
    return pd.read_sql_query(query.replace(":run", quoted).replace(":task", str(int(task))), db)
