"""Ready-made configurations: a function per site, whose options are those of the site's provider.

::

    perlmutter("m1234", image="ghcr.io/ada/app:1")                on a login node
    perlmutter("m1234", image="ghcr.io/ada/app:1", login="ada")   from a laptop: the user's name at the site
"""

from cnflow.configs.elsewhere import cc_in2p3, ec2, kubernetes, laptop, slurm_in_5_lines
from cnflow.configs.us import (
    anvil,
    bridges,
    delta,
    expanse,
    frontera,
    improv,
    midway,
    osg,
    perlmutter,
    polaris,
    stampede,
    summit,
)

__all__ = [
    "anvil",
    "bridges",
    "cc_in2p3",
    "delta",
    "ec2",
    "expanse",
    "frontera",
    "improv",
    "kubernetes",
    "laptop",
    "midway",
    "osg",
    "perlmutter",
    "polaris",
    "slurm_in_5_lines",
    "stampede",
    "summit",
]
