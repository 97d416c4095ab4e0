import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import cnflow

project = "cnflow"
author = "The cnflow developers"
copyright = "the cnflow developers"  # noqa: A001 - Sphinx's name for it
version = release = cnflow.__version__

extensions = ["myst_parser", "reference"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"cnflow {release}"
