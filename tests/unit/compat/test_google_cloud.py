"""Parsl's provider for Compute Engine."""

from cnflow.compat.parsl.google_cloud import GoogleCloudProvider


def test_parameters_by_position_are_those_of_parsl():
    made = GoogleCloudProvider(
        "my-project", "key.json", "us-east1", "debian-cloud", "debian-12", "v1", "n2-standard-2", 3
    )
    assert (made.project, made.key_file, made.region) == ("my-project", "key.json", "us-east1")
    assert (made.image_project, made.image_family, made.instance_types) == (
        "debian-cloud",
        "debian-12",
        ["n2-standard-2"],
    )
    assert (made.init_blocks, made.max_blocks, made.label) == (3, 10, "google_cloud")


def test_defaults_are_those_of_parsl():
    made = GoogleCloudProvider(
        project_id="p", key_file="k", region="us-east1", os_project="debian-cloud", os_family="debian-12"
    )
    assert (made.instance_types, made.init_blocks, made.min_blocks, made.max_blocks) == (["n1-standard-1"], 1, 0, 10)
