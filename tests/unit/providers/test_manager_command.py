from cnflow.model.manager_settings import ManagerSettings
from cnflow.providers import manager_command

SETTINGS = ManagerSettings(hosts=(), endpoint="ipc://x", executor="htex", block="0", secret_key="S3CRET")


def test_a_manager_is_started_by_its_path_in_the_capsule():
    command = manager_command(SETTINGS, python="python3", root="/capsule", settings_file="/run/s.json")
    assert command.argv == ("python3", "-I", "/capsule/cnflow/manager/__main__.py", "/run/s.json", "--unlink")
    assert command.files == {"/run/s.json": SETTINGS.to_json()}


def test_no_key_is_on_the_command_line_or_in_the_environment():
    command = manager_command(SETTINGS, python="python3", root="/capsule")
    assert "S3CRET" not in str((command.argv, command.environment, command.mounts))


def test_settings_that_several_nodes_share_are_not_removed_by_the_first():
    argv = manager_command(SETTINGS, python="p", root="/r", settings_file="/shared/s.json", is_shared=True).argv
    assert argv[-1] == "/shared/s.json"


def test_settings_on_the_standard_input_are_no_file_to_remove():
    assert manager_command(SETTINGS, python="p", root="/r", is_isolated=False).argv == (
        *("p", "/r/cnflow/manager/__main__.py", "-"),
    )
