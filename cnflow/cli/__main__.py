"""Runs the `cnflow` command as ``python -m cnflow.cli``, for a shell without the script on its PATH."""

from cnflow.cli import main

main()
