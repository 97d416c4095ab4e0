"""``python -m cnflow.cli`` is the `cnflow` command, where the script is not on the PATH."""

from cnflow.cli import main

main()
