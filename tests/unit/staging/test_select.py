import pytest

from cnflow.errors import ConfigurationError, UnknownNameError
from cnflow.interfaces.staging import Staging
from cnflow.model.file import File
from cnflow.staging import Direction, NoOpFileStaging, default_staging, staging_for

BOTH = pytest.mark.parametrize("direction", list(Direction), ids=lambda direction: direction.value)


class Tape(Staging):
    """Brings what it cannot take away."""

    schemes = ("tape",)

    def __init__(self, drive="a"):
        self.drive = drive

    def can_stage_in(self, file):
        return file.scheme == "tape"


@BOTH
@pytest.mark.parametrize("url", ["a.txt", "/d/a.txt", "file:///d/a.txt", "file:/d/a.txt", "file://localhost/d/a.txt"])
def test_files_of_this_machine_are_left_where_they_are(direction, url):
    file = File(url)
    staging = staging_for(file, None, direction)
    assert staging == NoOpFileStaging()
    assert staging.stage_in(None, "htex", file, None) is None
    assert staging.stage_out(None, "htex", file, None) is None
    assert staging.replace_task(None, "htex", file, len) is None
    assert staging.replace_task_stage_out(None, "htex", file, len) is None
    assert file.local_path is None


def test_two_inputs_of_one_name_stay_apart():
    files = [File("a/x"), File("b/x")]
    for file in files:
        staging_for(file, None, Direction.IN).stage_in(None, "htex", file, None)
    assert [file.filepath for file in files] == ["a/x", "b/x"]


def test_first_staging_that_can_move_a_file_is_chosen():
    first, second = Tape("a"), Tape("b")
    assert staging_for(File("tape:/x"), [NoOpFileStaging(), first, second], Direction.IN) is first


@BOTH
def test_unknown_scheme_is_refused_with_the_nearest_and_all_known(direction):
    with pytest.raises(UnknownNameError) as caught:
        staging_for(File("fiel:/a.txt"), [Tape(), *default_staging], direction)
    known = "abfs, abfss, az, docker, file, ftp, ftpes, ftps, gcs, gs, http, https, s3, s3a, sftp, tape, zip"
    assert str(caught.value) == (
        f"No scheme of files that can be staged {direction.value} is called 'fiel'. Did you mean 'file'? "
        f"Known: {known}."
    )


@BOTH
def test_without_any_staging_every_scheme_is_unknown(direction):
    with pytest.raises(UnknownNameError, match="Known: none"):
        staging_for(File("a.txt"), [], direction)


def test_missing_direction_differs_from_an_unknown_scheme():
    with pytest.raises(ConfigurationError, match=r"^tape:/x cannot be staged out by any of Tape\(drive='b'\).$"):
        staging_for(File("tape:/x"), [Tape("b")], Direction.OUT)


@BOTH
def test_first_folder_that_is_taken_for_a_host_is_named(direction):
    with pytest.raises(
        ConfigurationError, match=r"'data', between // and the next /, is taken for a host: write file:///path"
    ):
        staging_for(File("file://data/a.txt"), None, direction)


def test_staging_is_a_value():
    assert NoOpFileStaging() == NoOpFileStaging()
    assert hash(NoOpFileStaging()) == hash(NoOpFileStaging())
    assert NoOpFileStaging() != Tape()
    assert Tape("a") == Tape("a") != Tape("b")
    assert repr(Tape("b")) == "Tape(drive='b')"


def test_default_staging_downloads_by_tasks_of_their_own():
    assert [type(staging).__name__ for staging in default_staging] == [
        "NoOpFileStaging",
        "FTPSeparateTaskStaging",
        "HTTPSeparateTaskStaging",
        "ZipFileStaging",
        "ImageFileStaging",
        "FsspecStaging",
    ]


@BOTH
def test_base_class_stages_nothing(direction):
    with pytest.raises(ConfigurationError):
        staging_for(File("a.txt"), [Staging()], direction)


@pytest.mark.parametrize("url", ["globus://11111111-0000-4000-8000-000000000000/x", "rsync://host/x"])
def test_scheme_of_a_staging_that_has_to_be_listed(url):
    with pytest.raises(UnknownNameError, match=r"Add (Globus|RSync)Staging\("):
        staging_for(File(url), None, Direction.IN)
