"""What an admin's change answers: that it has come, that it goes on, or why it will not."""

import asyncio

import pytest

from cnflow.config.serving import VersionConfig
from cnflow.errors import ConfigurationError, ImageNotFoundError
from cnflow.model.image_identity import ImageFacts, ImageIdentity
from cnflow.serving.admin import AdminCommands
from cnflow.serving.image_now import image_now
from cnflow.serving.service import ServingError
from cnflow.serving.versions import VersionState
from tests.unit.serving.world import FakeExecutor, World, run, settle

ONE, TWO = (f"sha256:{digit * 64}" for digit in "12")
VERSIONS = {"versions": [{"version": each, "module": f"app{each}", "weight": each == "1"} for each in ("1", "2", "3")]}


def commands(world, wait=5.0, executor_for=lambda _: None):
    return AdminCommands(world.service, world.service._config, dict, lambda: None, executor_for, wait)


@run
async def test_a_roll_answers_once_calls_have_moved():
    async with World(VERSIONS) as world:
        reply = await commands(world).answer({"do": "roll", "model": "digits", "version": "2"})
        assert "goes_on" not in reply
        assert [each["weight"] for each in reply["models"][0]["versions"]] == [0, 1, 0]


@run
async def test_a_roll_to_a_version_that_cannot_be_loaded_is_an_error_and_calls_stay():
    async with World(VERSIONS) as world:
        world.direct.answers_warm_ups = False
        admin = commands(world)
        world.service._models["digits"].router.versions["2"].state = VersionState.FAILED
        rolled = asyncio.ensure_future(admin.answer({"do": "roll", "model": "digits", "version": "2"}))
        (warm_up,) = await world.sent(1)
        world.direct.end(warm_up, error=ValueError("no weights"))
        with pytest.raises(
            ServingError, match=r"stay where they are: version '2' cannot be loaded: .*no weights"
        ) as no:
            await rolled
        assert (no.value.status, no.value.code) == (409, "version_failed")
        assert world.versions["1"].weight == 1


@run
async def test_a_shadow_does_not_answer_for_a_roll_that_failed_before():
    async with World(VERSIONS) as world:
        world.direct.answers_warm_ups = False
        world.service._models["digits"].router.versions["2"].state = VersionState.FAILED
        rolled = asyncio.ensure_future(commands(world).answer({"do": "roll", "model": "digits", "version": "2"}))
        (warm_up,) = await world.sent(1)
        world.direct.end(warm_up, error=ValueError("no weights"))
        with pytest.raises(ServingError):
            await rolled
        reply = await commands(world).answer({"do": "shadow", "model": "digits", "shadow": {"3": 0.5}})
        assert [each["is_shadow"] for each in reply["models"][0]["versions"]] == [False, False, True]


@run
async def test_a_roll_that_takes_long_goes_on_and_another_one_replaces_it():
    async with World({"module": "app1", "version": "1"}) as world:
        world.direct.answers_warm_ups = False
        question = {"do": "roll", "model": "digits", "module": "app2", "version": "2"}
        assert (await commands(world, wait=0.0).answer(question))["goes_on"]
        waits = asyncio.ensure_future(commands(world).answer({"do": "roll", "model": "digits", "version": "2"}))
        await settle()
        reply = await commands(world).answer({"do": "back", "model": "digits"})
        assert "goes_on" not in reply
        with pytest.raises(ServingError, match="were not moved"):
            await waits
        assert world.versions["1"].weight == 1


class Found:
    """Executors by image, as a run makes them, with what their tags are now."""

    def __init__(self, now, ran=None):
        self.now, self.made = now, {}
        if ran is not None:
            self.made["shop:latest"] = self.executor("shop:latest", ran)

    def executor(self, image, digest=""):
        made = FakeExecutor(image, image, digest)
        made.image_now = lambda: self.now
        return made

    def __call__(self, version):
        image = str(version.image)
        return self.made.setdefault(image, self.executor(image, self.now if self.made else ""))


@pytest.mark.parametrize(
    ("now", "image"),
    [
        (ImageIdentity(ONE), "shop:latest"),
        (ImageIdentity(""), "shop:latest"),
        (ImageIdentity(TWO), TWO),
        (ImageIdentity(TWO, ImageFacts(digest=f"registry/shop@{TWO}")), f"registry/shop@{TWO}"),
    ],
)
def test_a_tag_that_has_moved_is_served_by_an_executor_of_its_own(now, image):
    executors = Found(now, ran=ONE)
    found = image_now(VersionConfig(image="shop:latest", module="shop"), executors)
    assert (str(found.version.image), found.digest) == (image, str(now))
    assert list(executors.made) == list(dict.fromkeys(["shop:latest", image]))


@run
async def test_a_roll_to_an_image_keeps_the_options_of_the_one_before():
    model = {"module": "shop", "version": "1", "image": {"reference": "shop:1", "memory": "1g", "pull": "always"}}
    executors, made = (FakeExecutor("a", "shop:1"), FakeExecutor("b", "shop:2")), []
    async with World(model, executors) as world:
        admin = commands(world, executor_for=lambda version: made.append(version.image) or executors[1])
        await admin.answer({"do": "roll", "model": "digits", "image": "shop:2"})
        assert [(str(each), each.memory, each.pull) for each in made] == [("shop:2", 1 << 30, "always")]
        assert [each.image for each in world.versions.values()] == ["shop:1", "shop:2"]


def test_a_new_image_is_not_looked_up_twice():
    executors = Found(None)
    found = image_now(VersionConfig(image="shop:1", module="shop"), executors)
    assert (str(found.version.image), found.digest) == ("shop:1", "")


@pytest.mark.parametrize("error", [ImageNotFoundError("No image 'shop:2'."), ConfigurationError("no template")])
def test_a_roll_to_an_image_that_cannot_be_had_is_refused_in_words(error):
    def refuse(_):
        raise error

    async def story():
        async with World() as world:
            with pytest.raises(ServingError, match=f"'shop:2' cannot be served, and calls stay.*{error}") as refused:
                await commands(world, executor_for=refuse).answer(
                    {"do": "roll", "model": "digits", "image": "shop:2", "module": "shop"}
                )
            assert refused.value.status == 400

    asyncio.run(story())


async def replace(later):
    """Order a roll that waits for its version, then *later*; return the roll's error and where all calls go."""
    async with World(VERSIONS) as world:
        world.direct.answers_warm_ups = False
        admin = commands(world)
        world.service._models["digits"].router.versions["2"].state = VersionState.FAILED
        rolled = asyncio.ensure_future(admin.answer({"do": "roll", "model": "digits", "version": "2"}))
        await world.sent(1)
        assert "goes_on" not in await admin.answer({"model": "digits", **later})
        with pytest.raises(ServingError, match="were not moved: another change came before") as no:
            await rolled
        return no.value, [name for name, version in world.versions.items() if version.weight == 1]


@run
async def test_a_roll_that_another_change_replaces_is_told_so_and_the_other_answers_for_itself():
    error, versions = await replace({"do": "roll", "version": "3"})
    assert (error.status, error.code, versions) == (409, "change_replaced", ["3"])
    error, versions = await replace({"do": "back"})
    assert (error.status, error.code, versions) == (409, "change_replaced", ["1"])


@run
async def test_a_roll_that_has_come_is_not_undone_for_who_ordered_it_by_a_later_one():
    async with World(VERSIONS) as world:
        admin = commands(world)
        orders = [{"do": "roll", "model": "digits", "version": each} for each in ("2", "3")]
        replies = await asyncio.gather(*map(admin.answer, orders))
        assert all("goes_on" not in reply for reply in replies)
        assert world.versions["3"].weight == 1
