"""Settings of an executor's blocks that come from several providers, in order of preference.

::

    provider=[LocalProvider(), SlurmProvider(), EC2Provider()]        [[executors.provider]] in TOML, once for each
        │ parse_provider
        ▼
    SeveralProviders(providers=[...])      sums of their blocks; labels "local", "slurm", "ec2", "ec2-2"
        │ for_image(image)                 those that can run it: none of bare processes for an image, and the reverse
        ▼
    one block controller for each, which `cnflow.blocks.several` gives its share of the tasks
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import SerializeAsAny, field_validator, model_validator

from cnflow.budget.amounts import Billing, dearest
from cnflow.config.interchange_place import SiteAddress
from cnflow.config.machines import MachineSettings
from cnflow.config.providers import ProviderSettings
from cnflow.config.registry import PROVIDERS
from cnflow.config.tables import misplaced
from cnflow.errors import ConfigurationError, UnknownNameError
from cnflow.model.image import NO_IMAGE
from cnflow.model.traits import LogsVia, Traits
from cnflow.model.visible_files import VisibleFiles, enclosing_folder

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from typing_extensions import Self

    from cnflow.config.interchange_place import Site
    from cnflow.model.image import Image

if TYPE_CHECKING:

    class OneOrSeveral:
        """Field of an executor: read as one provider, written as one or as a list of them."""

        def __get__(self, owner: object, cls: type) -> ProviderSettings: ...
        def __set__(self, owner: object, value: ProviderSettings | Sequence[ProviderSettings]) -> None: ...

else:
    OneOrSeveral = SerializeAsAny[ProviderSettings]


class SeveralProviders(ProviderSettings):
    """Blocks of one executor from several providers; made of ``provider=[...]``."""

    backend: ClassVar[str] = "cnflow.providers.several.provider:SeveralBackend"
    kind: Literal["several"] = "several"
    providers: list[SerializeAsAny[ProviderSettings]]
    """In order of preference."""

    @field_validator("providers", mode="before")
    @classmethod
    def _providers_by_kind(cls, values: object) -> object:
        return [PROVIDERS.parse(value) for value in values] if isinstance(values, (list, tuple)) else values

    @field_validator("providers")
    @classmethod
    def _have_blocks(cls, values: list[ProviderSettings]) -> list[ProviderSettings]:
        if not values:
            raise ValueError("is an empty list; name a provider, such as provider=[LocalProvider()]")
        for value in values:
            if value.kind in {"several", "existing_pool"}:
                raise ValueError(f"{type(value).__name__} cannot be one of several providers: it starts no blocks")
        return [values[0], *map(_without_first_blocks, values[1:])]

    @model_validator(mode="after")
    def _blocks_are_those_of_all(self) -> SeveralProviders:
        walltimes = [each.walltime for each in self.providers if each.walltime is not None]
        sums = ("init_blocks", "min_blocks", "warm_blocks", "max_blocks")
        self.__dict__.update(  # an assignment would be checked anew, without end
            {name: sum(getattr(each, name) for each in self.providers) for name in sums},
            nodes_per_block=max(each.nodes_per_block for each in self.providers),
            parallelism=max(each.parallelism for each in self.providers),
            startup_timeout=max(each.startup_timeout for each in self.providers),
            walltime=min(walltimes, default=None),
        )
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the providers, from their kinds; the second of a kind is ``slurm-2``."""
        seen: Counter[str] = Counter()
        labels = []
        for each in self.providers:
            seen[each.kind] += 1
            labels.append(each.kind if seen[each.kind] == 1 else f"{each.kind}-{seen[each.kind]}")
        return tuple(labels)

    @property
    def default_image(self) -> Image:
        """The image that all name; each has its own otherwise."""
        images = {str(each.default_image): each.default_image for each in self.providers}
        return next(iter(images.values())) if len(images) == 1 else NO_IMAGE

    def traits(self) -> Traits:
        """Traits that hold for all of them."""
        traits = [each.traits() for each in self.providers]
        cores = {each.cores for each in traits}
        return Traits(
            runs_images=any(each.runs_images for each in traits),
            runs_bare=any(_runs_bare(each) for each in self.providers),
            logs=LogsVia.ON_REQUEST,
            poll_period=min(each.poll_period for each in traits),
            status_lag=max(each.status_lag for each in traits),
            cores=cores.pop() if len(cores) == 1 else None,
        )

    def managers_per_block(self) -> int:
        """Those of the largest block."""
        return max(each.managers_per_block() for each in self.providers)

    def billing(self) -> Billing:
        """Cost of a block of the dearest provider; each has an account of its own."""
        bills = [one.billing() for one in self.providers]
        return max(bills, key=lambda bill: bill.startup)._replace(rate=dearest(bill.rate for bill in bills))

    def site(self) -> Site | None:
        """The first site among them at which an interchange would have to run; that of a provider, if all are local."""
        sites = [site for each in self.providers if (site := each.site()) is not None]
        return next((site for site in sites if not site.is_local), sites[0] if sites else None)

    @property
    def at_site(self) -> int:
        """Number of the provider whose site is that of all."""
        site = self.site()
        return next((number for number, each in enumerate(self.providers) if each.site() == site), 0)

    def refuse_site(self, site: Site) -> None:
        """Refuse an interchange at *site* if blocks of a provider cannot reach it.

        Raises:
            ValueError: names the provider, and what to do.
        """
        owner = self.providers[self.at_site]
        for each in self.providers:
            own = each.site()
            if own == site and type(each) is type(owner):
                continue
            is_here = each.kind == "local" or getattr(each, "network", None) == "host"
            if own is None and is_here and isinstance(owner, MachineSettings):
                continue  # the connection to the interchange's machine has a port of this one, too
            where = f"at {site.channel.kind}" if isinstance(site, SiteAddress) else "in its network"
            raise ValueError(
                f"the interchange would run where {type(owner).__name__} has its blocks ({where}), which blocks of "
                f'{type(each).__name__} may not reach; set interchange="driver" and address= to one of this machine '
                "that both reach, or give each provider an executor of its own"
            )

    def refuse_options(self, given: Collection[str]) -> None:
        """See `ProviderSettings`: all of them must take the options."""
        for each in self.providers:
            each.refuse_options(given)

    def refuse_image(self, image: Image) -> None:
        """Refuse *image* of the executor if a provider cannot run it.

        Raises:
            ValueError: names the provider, and what to do.
        """
        for each in self.providers:
            if not each.traits().runs_images:
                raise ValueError(
                    f"{str(image)!r} cannot run on {type(each).__name__}, whose blocks are bare processes; take that "
                    "out of provider=[...], or name the image in the providers that have an option image"
                )

    def for_image(self, image: Image) -> Self:
        """Those that can run *image*, or without one on bare nodes or with images of their own."""
        fit = [each.for_image(image or each.default_image) for each in self.providers if _can_run(each, image)]
        return self.model_copy(update={"providers": fit}) if fit else self

    def for_fresh_tasks(self) -> Self:
        """See `ProviderSettings`; for each of them."""
        return type(self)(providers=[each.for_fresh_tasks() for each in self.providers])

    def on_bare_nodes(self) -> ProviderSettings:
        """See `ProviderSettings`; for each of them."""
        return type(self)(providers=[each.on_bare_nodes() for each in self.providers])

    def visible_files(self, folders: Sequence[str]) -> VisibleFiles | None:
        """Files that all of them see: a task may run on any."""
        found = [seen for each in self.providers if (seen := each.visible_files(folders)) is not None]
        if not found:
            return None
        first, *others = found
        own = tuple(path for path in first.own if all(enclosing_folder(path, other.own) for other in others))
        return VisibleFiles(own, tuple(path for each in found for path in each.others), first.advice)


def members_of(provider: ProviderSettings) -> Mapping[str, ProviderSettings]:
    """Return the providers that *provider* stands for, by label: its own, or itself under its kind."""
    if isinstance(provider, SeveralProviders):
        return dict(zip(provider.labels, provider.providers, strict=True))
    return {provider.kind: provider}


def parse_provider(value: object, options: Collection[str]) -> object:
    """Return the provider that the user wrote: an object, a table with a kind, or a list of them.

    Args:
        value: as written.
        options: of the executor, which may stand in the provider's table by mistake.

    Raises:
        ConfigurationError: an option is wrong, or there is no such kind.
        ValueError: *value* is no provider.
    """
    if isinstance(value, (list, tuple)):
        several: list[ProviderSettings] = []
        for each in value:
            parsed = parse_provider(each, options)
            if not isinstance(parsed, ProviderSettings):
                raise ValueError(f"must be a list of providers, such as [LocalProvider()], not of {each!r}")  # noqa: TRY004 - pydantic wants ValueError
            several.append(parsed)
        return several[0] if len(several) == 1 else SeveralProviders(providers=several)
    if isinstance(value, (str, type)):
        name = value if isinstance(value, str) else value.__name__
        raise ValueError(f"must be an object, such as provider=DockerProvider(), not the name {name!r}")  # noqa: TRY004 - as above
    try:
        return PROVIDERS.parse(value)
    except ConfigurationError as error:
        if isinstance(error, UnknownNameError) or not isinstance(value, Mapping):
            raise
        place = "Options of the executor stand above [executors.provider]"
        own = PROVIDERS.class_and_options(value)[0].model_fields if "kind" in value else ()
        raise ConfigurationError(f"{error}{misplaced(value, own, options, place)}") from None


def as_written(value: Any) -> Any:  # noqa: ANN401 - any option
    """Return several providers as the list that the user wrote; any other option as it is."""
    return value.providers if isinstance(value, SeveralProviders) else value


def _without_first_blocks(provider: ProviderSettings) -> ProviderSettings:
    """Return a provider after the first, which starts no block before it is needed unless the user wants some."""
    if "init_blocks" in provider.model_fields_set:
        return provider
    return provider.model_copy(update={"init_blocks": provider.min_blocks})


def _can_run(provider: ProviderSettings, image: Image) -> bool:
    return provider.traits().runs_images if image else _runs_bare(provider) or bool(provider.default_image)


def _runs_bare(provider: ProviderSettings) -> bool:
    traits = provider.traits()
    return traits.runs_bare or not traits.runs_images
