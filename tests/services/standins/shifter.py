"""A stand-in for Shifter: checks the command line as its source defines it, and runs the command by Charliecloud.

Options: https://github.com/NERSC/shifter/blob/master/src/shifter.c, `parse_options` and `_usage`; ``--module``,
``--env-file`` and ``--clearenv``: https://docs.nersc.gov/development/containers/shifter/how-to-use/. What the gateway
has pulled is a folder of an image, named by the variable ``STANDIN_IMAGES``: ``docker:NAME=FOLDER``, several by ``;``.
A site shows its own file systems in each container: ``STANDIN_FILE_SYSTEMS``, several by ``:``.
"""

from __future__ import annotations

import getopt
import os
import shutil
import sys
from pathlib import Path

_SHORT = "hvEV:i:e:w:m:"
_LONG = ["help", "volume=", "verbose", "image=", "entrypoint", "workdir=", "env=", "env-file=", "clearenv", "module="]
_NEVER_BELOW = ("/dev", "/etc", "/opt/udiImage", "/proc", "/var")


def fail(words):
    """Print what is wrong, and end."""
    sys.exit(words)


def volume_of(text):
    """Parse ``SOURCE:TARGET[:ro]``; see "Volume Mapping" of the usage."""
    parts = text.split(":")
    if len(parts) not in {2, 3} or not all(part.startswith("/") for part in parts[:2]) or parts[2:] not in ([], ["ro"]):
        fail("Failed to parse volume map options")
    if any(parts[1] == each or parts[1].startswith(f"{each}/") for each in _NEVER_BELOW):
        fail(f"Invalid Volume Map: {text}, aborting!")
    return parts[0], parts[1]


def main():
    """Run the command of the arguments in the image of the arguments."""
    try:
        options, command = getopt.getopt(sys.argv[1:], _SHORT, _LONG)
    except getopt.GetoptError as error:
        fail(f"{error}\nMissing an argument!")
    given = dict(options)
    image = given.get("--image", given.get("-i", os.environ.get("SHIFTER", "")))
    kind, colon, tag = image.partition(":")
    if not colon or not tag or not kind:
        fail('Incorrect format for image identifier: need "image_type:image_desc", e.g., docker:ubuntu:14.04')
    images = dict(entry.split("=", 1) for entry in os.environ["STANDIN_IMAGES"].split(";"))
    if image not in images:
        fail(f"FAILED to lookup {kind} image {tag}")
    folder = images[image]
    volumes = [volume_of(value) for name, value in options if name in {"-V", "--volume"}]
    volumes += [(path, path) for path in os.environ["STANDIN_FILE_SYSTEMS"].split(":")]
    arguments = []
    for source, target in volumes:
        Path(folder + target).mkdir(parents=True, exist_ok=True)
        arguments += ["-b", f"{source}:{target}"]
    workdir = given.get("--workdir", given.get("-w", str(Path.cwd())))
    program = shutil.which("ch-run")
    # Variables of the image's ENV win, of which PATH is one.
    path = "/usr/local/bin:/usr/bin:/bin"
    environment = {**os.environ, "SHIFTER_RUNTIME": "1", "USER": os.environ.get("USER", "user"), "PATH": path}
    os.execve(program, [program, *arguments, "--cd", workdir, folder, "--", *command], environment)


if __name__ == "__main__":
    main()
