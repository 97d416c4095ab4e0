"""Makes the command that starts a manager; pure, shared by all providers.

::

    manager_command(settings, python=..., root=..., settings_file=...)
        │                                      ROOT/cnflow/manager/__main__.py lies in the capsule
        ▼
    NodeCommand(argv, environment, files, mounts)
        │   wrapped by the provider: worker_init, a container runtime, a launcher for several nodes
        ▼
    sent to the provider's system; `files` by the way of `Traits.delivery`
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.model.node_command import NodeCommand

if TYPE_CHECKING:
    from cnflow.model.manager_settings import ManagerSettings

STDIN = "-"
"""Name of a settings file that stands for the standard input."""


def manager_command(
    settings: ManagerSettings,
    *,
    python: str,
    root: str,
    settings_file: str = STDIN,
    is_isolated: bool = True,
    is_shared: bool = False,
) -> NodeCommand:
    """Return the command that starts a manager with *settings*.

    Args:
        settings: of the manager; they hold keys and appear in `NodeCommand.files` alone.
        python: interpreter on the node.
        root: folder on the node that holds the package ``cnflow``.
        settings_file: path on the node; `STDIN` if the provider writes the settings to the standard input.
        is_isolated: start *python* with ``-I``, so that it reads neither its variables nor the user's packages.
        is_shared: managers of several nodes read one *settings_file*, so that none of them removes it.
    """
    interpreter = (python, "-I") if is_isolated else (python,)
    removal = () if is_shared or settings_file == STDIN else ("--unlink",)
    return NodeCommand(
        argv=(*interpreter, f"{root}/cnflow/manager/__main__.py", settings_file, *removal),
        files={settings_file: settings.to_json()},
    )
