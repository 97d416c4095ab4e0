"""Copies an image file to a folder of the node, once per node, before a container is made of it; pure.

::

    sh -c SCRIPT cnflow /lustre/images/4f2c.sif /tmp/cnflow-images ── apptainer exec ... /lustre/images/4f2c.sif ...
         │                                                                    │
         └── one process of the node copies (lock file), others wait          └── is /tmp/cnflow-images/4f2c.sif

Many nodes that open one file of a parallel file system at once wait for its servers; each reads the file once, so. A
node without room runs the image from where it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cnflow.model.site_image import NODE_IMAGE, ImageForm
from cnflow.runtimes.script import on_node

if TYPE_CHECKING:
    from cnflow.model.node_command import NodeCommand
    from cnflow.model.site_image import SiteImage

_SCRIPT = """\
shared=$1; shift
folder={folder}
copy=$folder/${{shared##*/}}
lock=$copy.lock
draft=$copy.$$
say() {{ echo "cnflow: image $shared: $*" >&2; }}
keep() {{
  [ -f "$copy" ] && return 0
  (umask 022; mkdir -p -- "$folder") 2>/dev/null || {{ say "the node's folder $folder cannot be made"; return 1; }}
  waited=0
  until (set -C; echo $$ >"$lock") 2>/dev/null; do
    [ -f "$copy" ] && return 0
    [ -w "$folder" ] || {{ say "the node's folder $folder cannot be written"; return 1; }}
    holder=$(cat "$lock" 2>/dev/null)
    [ -n "$holder" ] && [ ! -d "/proc/$holder" ] && mv -- "$lock" "$lock.$$" 2>/dev/null && rm -f -- "$lock.$$"
    waited=$((waited + 1))
    [ "$waited" -gt 600 ] && {{ say "another process has not copied it in 600 s"; return 1; }}
    sleep 1
  done
  if [ ! -f "$copy" ]; then
    size=$(wc -c <"$shared") && cp -- "$shared" "$draft" 2>/dev/null && [ "$(wc -c <"$draft")" = "$size" ] &&
      mv -- "$draft" "$copy" || {{ say "the node's folder $folder has no room for a copy"; rm -f -- "$draft"; }}
  fi
  rm -f -- "$lock"
  [ -f "$copy" ]
}}
if keep; then
  export {variable}="$copy"
  for word do
    shift
    [ "$word" = "$shared" ] && word=$copy
    set -- "$@" "$word"
  done
fi
exec "$@"
"""


def with_node_copy(command: NodeCommand, image: SiteImage, folder: str) -> NodeCommand:
    """The command that copies *image* to the node and then runs *command*.

    The copy's path takes the place of the image's among the words of *command*, and is in the variable `NODE_IMAGE`.

    Args:
        command: of a runtime, for one node.
        image: a file or folder at the site; only a SIF or an archive is copied.
        folder: on the node, such as ``/tmp/cnflow-images``; ``~`` and variables are the node's. Empty copies nothing.
    """
    if not folder or image.form not in {ImageForm.SIF, ImageForm.ARCHIVE}:
        return command
    script = _SCRIPT.format(folder=on_node(folder), variable=NODE_IMAGE)
    return replace(command, argv=("sh", "-c", script, "cnflow", image.path, *command.argv))
