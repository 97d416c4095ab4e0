import base64

from cnflow.capsule import Kind, Probe
from cnflow.capsule.archive import UNPACK_SCRIPT
from cnflow.ids import BlockId, RunId
from cnflow.model.block import BlockRequest
from cnflow.model.image import Image
from cnflow.model.manager_settings import ManagerSettings
from cnflow.model.node_command import NodeCommand
from cnflow.providers.kubernetes.block_secret import owner_of, owner_patch, secret_for
from cnflow.providers.kubernetes.config_maps import Code, config_map_for
from cnflow.providers.kubernetes.parts import SETTINGS_FILE
from cnflow.providers.kubernetes.pod_start import PodCode, parts_for
from cnflow.providers.kubernetes.requests import secret_content

OWNER = {"apiVersion": "batch/v1", "kind": "Job", "name": "cnflow-r-run", "uid": "u1"}
FITTING = Probe("3.11.2", "CPython", "x86_64", "glibc 2.36", "/usr/bin/python3")
OLD = Probe("3.8.1", "CPython", "x86_64", "glibc 2.36", "/opt/python3")
ANCIENT = Probe("2.7.1", "CPython", "x86_64", "glibc 2.36", "/usr/bin/python")
NONE = Probe("3.11.2", "CPython", "x86_64", "", "", is_carried=True)
KIND = Kind("3.11", "x86_64", "glibc")
CARRIED = Kind("3.11", "x86_64", "glibc", carries_python=True)
MAPS = {"part-000": "cm-00", "part-001": "cm-01"}


def request(tmp_path, command=None):
    manager = ManagerSettings(hosts=(), endpoint="ipc:///nowhere", executor="e", block="0", secret_key="key")
    return BlockRequest(RunId("r"), "e", BlockId("0"), Image("app:1"), manager, tmp_path / "log", command=command)


def parts(tmp_path, code, probe, command=None):
    return parts_for(request(tmp_path, command), code, probe, owner=OWNER, secret="s")


def test_the_image_s_own_python_unpacks_and_runs_the_manager(tmp_path):
    made = parts(tmp_path, PodCode(KIND, "tag", MAPS), FITTING)
    assert made.command == (
        *("/usr/bin/python3", "-I", "-c", UNPACK_SCRIPT, "/.cnflow/parts", "/.cnflow/capsule/tag"),
        *("/usr/bin/python3", "-I", "/.cnflow/capsule/tag/cnflow/manager/__main__.py", SETTINGS_FILE),
    )
    assert made.owner == OWNER
    assert made.volumes == [
        {
            "name": "cnflow-parts",
            "projected": {
                "sources": [
                    {"configMap": {"name": "cm-00", "items": [{"key": "part-000", "path": "part-000"}]}},
                    {"configMap": {"name": "cm-01", "items": [{"key": "part-001", "path": "part-001"}]}},
                ]
            },
        },
        {"name": "cnflow-capsule", "emptyDir": {}},
    ]


def test_an_image_without_python_needs_no_program_of_its_own(tmp_path):
    code = PodCode(CARRIED, "tag", {**MAPS, "unpack": "cm-02"})
    made = parts(tmp_path, code, NONE)
    python = "/.cnflow/capsule/tag/python/bin/python3"
    assert made.command == (
        *("/.cnflow/parts/unpack", "/.cnflow/parts", "/.cnflow/capsule/tag"),
        *(python, "-I", "/.cnflow/capsule/tag/cnflow/manager/__main__.py", SETTINGS_FILE),
    )
    sources = made.volumes[0]["projected"]["sources"]
    assert sources[2]["configMap"]["items"] == [{"key": "unpack", "path": "unpack", "mode": 0o555}]


def test_workers_run_on_an_old_python_of_the_image_and_not_on_an_ancient_one(tmp_path):
    code = PodCode(CARRIED, "tag", MAPS)
    assert parts(tmp_path, code, OLD).command[-1] == "--worker-python=3.8.1:/opt/python3"
    assert parts(tmp_path, code, ANCIENT).command[-1] == SETTINGS_FILE


def test_an_image_that_has_the_code_gets_no_volume(tmp_path):
    made = parts(tmp_path, PodCode(KIND, "tag"), FITTING)
    assert made.command == ("/usr/bin/python3", "-I", "/opt/cnflow/cnflow/manager/__main__.py", SETTINGS_FILE)
    assert made.volumes == made.mounts == []


def test_pods_share_what_they_unpack_in_a_claim(tmp_path):
    made = parts(tmp_path, PodCode(KIND, "tag", MAPS, claim="code"), FITTING)
    assert made.volumes[1] == {"name": "cnflow-capsule", "persistentVolumeClaim": {"claimName": "code"}}


def test_a_command_runs_instead_of_a_manager_and_needs_no_code(tmp_path):
    made = parts(tmp_path, PodCode(KIND, "tag", MAPS), FITTING, NodeCommand(("sleep", "9")))
    assert (made.command, made.volumes) == (("sleep", "9"), ())


def test_another_module_runs_from_the_same_code():
    code = PodCode(CARRIED, "tag", MAPS)
    root = "/.cnflow/capsule/tag"
    assert code.python(NONE) == f"{root}/python/bin/python3"
    command = code.command(NONE, "interchange/keeper.py", "--port=1")
    assert command[-4:] == (code.python(NONE), "-I", f"{root}/cnflow/interchange/keeper.py", "--port=1")


def test_no_key_is_outside_of_the_secret(tmp_path):
    made = parts(tmp_path, PodCode(KIND, "tag", MAPS), FITTING)
    assert "secret_key" not in repr(made)
    secret = secret_for("s", secret_content(request(tmp_path)), owner=OWNER, labels={"a": "b"})
    assert b'"secret_key":"key"' in base64.b64decode(secret["data"]["settings"])
    assert secret["metadata"] == {"name": "s", "labels": {"a": "b"}, "ownerReferences": [OWNER]}


def test_a_secret_changes_its_owner_in_one_patch():
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "b", "uid": "u2", "labels": {}}}
    new = {"apiVersion": "batch/v1", "kind": "Job", "name": "b", "uid": "u2"}
    assert owner_of(job) == new
    assert owner_patch(OWNER, new) == {"metadata": {"ownerReferences": [new, {"$patch": "delete", "uid": "u1"}]}}


def test_config_maps_are_immutable_small_and_named_by_their_content():
    code = Code.of("cp311-x86_64-glibc-abc", bytes(2_500_000), {"unpack": b"program"})
    names = code.names()
    assert list(names) == ["part-000", "part-001", "part-002", "unpack"]
    assert max(map(len, code.parts.values())) < 2**20
    assert all(len(name) < 64 and "_" not in name for name in names.values())
    other = Code.of("cp311-x86_64-glibc-abc", bytes(2_499_999) + b"1", {"unpack": b"program"})
    assert not set(names.values()) & set(other.names().values())
    made = config_map_for(names["unpack"], "unpack", b"program", code.tag, OWNER)
    assert made["immutable"]
    assert made["binaryData"] == {"unpack": base64.b64encode(b"program").decode()}
    assert made["metadata"]["ownerReferences"] == [OWNER]
