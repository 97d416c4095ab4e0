"""Several providers of one executor: written as a list, read as one."""

from typing_extensions import assert_type

from cnflow.config import HighThroughputExecutor, LocalProvider, ProviderSettings, SlurmProvider

executor = HighThroughputExecutor(provider=[LocalProvider(max_blocks=2), SlurmProvider()], spill_after=300, hedge=2)
assert_type(executor.provider, ProviderSettings)
one = HighThroughputExecutor(provider=LocalProvider())
assert_type(one.provider, ProviderSettings)
HighThroughputExecutor(provider=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
HighThroughputExecutor(provider=[LocalProvider(), "slurm"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
