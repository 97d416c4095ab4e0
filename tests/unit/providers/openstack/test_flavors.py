import pytest

from cnflow.config import OpenStackProvider
from cnflow.errors import BlockRejectedError
from cnflow.model.machine import Placement, Rate
from cnflow.providers.openstack.flavors import Flavor, Need, flavor_of, gpus_in, need_of, placements_of

TINY = Flavor("1", "m1.tiny", 1, 512, 1)
SMALL = Flavor("2", "m1.small", 1, 2048, 20)
MEDIUM = Flavor("3", "m1.medium", 2, 4096, 40)
LARGE = Flavor("4", "m1.large", 8, 16384, 80)
GPU = Flavor("5", "g1.large", 8, 16384, 80, gpus=1)
ALL = [LARGE, GPU, TINY, MEDIUM, SMALL]


def names(placements):
    return [placement.instance_type for placement in placements]


def chosen(**options):
    settings = OpenStackProvider(image_id="x", **options)
    need = need_of(settings, {}, for_interchange=False)
    return placements_of(ALL, settings.instance_types, need, settings)


def test_named_flavors_are_taken_in_their_order_by_name_or_id_in_each_zone():
    placements = chosen(instance_types=["m1.large", "2"], zones=["a", "b"], price_per_hour=0.5)
    assert placements[0] == Placement("m1.large", "a", rate=Rate(0.5, 8.0, 0.0))
    assert [(one.instance_type, one.zone) for one in placements[1:]] == [
        ("m1.large", "b"),
        ("m1.small", "a"),
        ("m1.small", "b"),
    ]


def test_smallest_flavor_that_fits_is_first_and_much_larger_ones_are_left_out():
    assert names(chosen(cores=2)) == ["m1.medium"]
    assert names(chosen()) == ["m1.small", "m1.medium"]
    assert names(chosen(memory="5g")) == ["m1.large"]


def test_machine_with_gpus_is_taken_only_where_they_are_asked_for():
    assert names(chosen(gpus=1)) == ["g1.large"]
    assert names(chosen(cores=8)) == ["m1.large"]


def test_image_sets_the_least_memory_and_disk():
    settings = OpenStackProvider(image_id="x")
    need = need_of(settings, {"min_ram": 3000, "min_disk": 30}, for_interchange=False)
    assert names(placements_of(ALL, [], need, settings)) == ["m1.medium"]


def test_interchange_gets_a_small_machine_whatever_blocks_need():
    settings = OpenStackProvider(image_id="x", cores=8, gpus=1)
    assert need_of(settings, {}, for_interchange=True) == Need(1, 1024, 0, 0, False)


def test_flavor_without_a_disk_is_taken_only_with_a_volume():
    bare = Flavor("9", "d0", 1, 2048, 0)
    with pytest.raises(BlockRejectedError, match="no flavor with 1 cores"):
        placements_of([bare], [], Need(), OpenStackProvider(image_id="x"))
    volume = OpenStackProvider(image_id="x", disk_size=10)
    assert names(placements_of([bare], [], need_of(volume, {}, for_interchange=False), volume)) == ["d0"]


def test_unknown_flavor_is_refused_with_the_nearest_name():
    with pytest.raises(BlockRejectedError, match=r"no flavor 'm1.smal'. Did you mean 'm1.small'\?"):
        chosen(instance_types=["m1.smal"])


def test_need_that_no_flavor_meets_is_refused_with_the_largest():
    with pytest.raises(BlockRejectedError, match=r"with 64 cores.*the largest, g1.large, has 8 cores"):
        chosen(cores=64)


@pytest.mark.parametrize(
    ("specs", "gpus"),
    [
        ({}, 0),
        ({"pci_passthrough:alias": "a100:2"}, 2),
        ({"resources:VGPU": "1"}, 1),
        ({"resources1:CUSTOM_NVIDIA_GPU": "4", "hw:cpu_policy": "dedicated"}, 4),
    ],
)
def test_gpus_are_read_from_extra_specs(specs, gpus):
    assert gpus_in(specs) == gpus
    answer = {"id": 7, "name": "x", "vcpus": 1, "ram": 1, "disk": 1, "extra_specs": specs}
    assert flavor_of(answer) == Flavor("7", "x", 1, 1, 1, gpus)
