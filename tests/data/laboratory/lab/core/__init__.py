from ..constants import FACTOR  # noqa: TID252 - as users write
from . import offsets


def scale(x):
    return x * FACTOR + offsets.offset()
