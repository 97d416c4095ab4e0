import importlib
import sqlite3
import warnings

import pytest

import cnflow
import cnflow.compat.parsl


def module(name):
    return importlib.import_module(name)


def test_hub_takes_the_parameters_of_both_releases():
    hub_class = module("parsl.monitoring").MonitoringHub
    with pytest.warns(DeprecationWarning, match="is not needed") as warned:
        hub = hub_class(
            hub_address="localhost",
            hub_port=55055,
            hub_port_range=(55050, 56000),
            client_address="127.0.0.1",
            client_port_range=(55000, 56000),
            workflow_name="digits",
            workflow_version="1",
            logging_endpoint="sqlite:///x.db",
            logdir="logs",
            monitoring_debug=True,
            resource_monitoring_enabled=True,
            resource_monitoring_interval=3,
        )
    assert len(warned) == 6
    assert (hub.workflow_name, hub.resource_monitoring_interval) == ("digits", 3)
    assert isinstance(hub, cnflow.config.MonitoringHub)
    assert module("parsl").MonitoringHub is module("parsl.monitoring.monitoring").MonitoringHub is hub_class


def test_hub_without_addresses_has_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hub = module("parsl.monitoring").MonitoringHub(resource_monitoring_interval=0)
    hub.logging_endpoint = "sqlite:///later.db"
    assert hub.logging_endpoint == "sqlite:///later.db"


def test_config_of_parsl_takes_a_hub():
    hub = module("parsl.monitoring").MonitoringHub()
    config = module("parsl.config").Config(monitoring=hub)
    config.monitoring.logging_endpoint = "sqlite:///here.db"
    assert config.monitoring.logging_endpoint == "sqlite:///here.db"
    assert module("parsl.config").Config().monitoring is None


def test_radios_are_accepted_and_kept():
    executors = module("parsl.executors")
    udp = module("parsl.monitoring.radios.udp").UDPRadio(address="localhost", atexit_timeout=0)
    htex = executors.HighThroughputExecutor()
    assert isinstance(htex.remote_monitoring_radio, module("parsl.monitoring.radios.htex").HTEXRadio)
    htex.remote_monitoring_radio = udp
    assert htex.remote_monitoring_radio == udp
    assert executors.ThreadPoolExecutor().remote_monitoring_radio is None
    assert executors.ThreadPoolExecutor(remote_monitoring_radio=udp).remote_monitoring_radio == udp
    assert module("parsl.monitoring.radios.filesystem").FilesystemRadio()


def test_run_has_an_id(tmp_path):
    with cnflow.load(cnflow.Config(run_dir=str(tmp_path))) as dfk:
        assert len(dfk.run_id) == 12


def test_queries_ask_for_one_run_and_quote_its_id(monkeypatch):
    asked = []

    class Pandas:
        @staticmethod
        def read_sql_query(query, db):
            asked.append(db.execute(query).fetchall())
            return asked[-1]

    monkeypatch.setitem(__import__("sys").modules, "pandas", Pandas)
    queries = module("parsl.monitoring.queries.pandas")
    with sqlite3.connect(":memory:") as db:
        db.execute("CREATE TABLE task (run_id, task_id, task_func_name, task_time_returned)")
        db.execute("CREATE TABLE resource (run_id, task_id)")
        db.executemany("INSERT INTO task VALUES (?, ?, 'f', NULL)", [("a", 1), ("a", 2), ("o'b", 3)])
        db.executemany("INSERT INTO resource VALUES (?, ?)", [("a", 1), ("a", 2)])
        assert queries.app_counts_for_workflow("a", db) == [("f", 2)]
        assert queries.completion_times_for_workflow("o'b", db) == [(3, "f", None)]
        assert queries.resources_for_task("a", 2, db) == [("a", 2)]
    db.close()


def test_run_of_parsl_shows_its_settings_and_its_writer():
    class Writer:
        pid = None

        def is_alive(self):
            return True

    class Sink:
        writer = Writer()

    live = module("cnflow.compat.parsl.monitoring").LiveMonitoring(
        module("parsl.monitoring").MonitoringHub(workflow_name="digits"), [object(), Sink()]
    )
    Sink.writer.pid = 7
    assert live.dbm_proc.pid == 7
    assert live.workflow_name == "digits"
    with pytest.raises(AttributeError):
        live.nothing  # noqa: B018 - the access is what is tested


def test_run_without_monitoring_has_none(tmp_path):
    parsl = module("parsl")
    with parsl.load(module("parsl.config").Config(run_dir=str(tmp_path))) as dfk:
        assert dfk.monitoring is None
