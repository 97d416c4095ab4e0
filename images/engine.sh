#!/usr/bin/env bash
# Exit with 0 if the docker command is installed and an engine responds; else print what to do and exit with 1.
set -euo pipefail

if ! command -v docker >/dev/null; then
  echo "The docker command is not installed. Install it (Debian: apt-get install docker.io; others:" \
    "https://docs.docker.com/engine/install/), or run without containers: Config(ignore_images=True)." >&2
  exit 1
fi
if ! output=$(docker info 2>&1 >/dev/null); then
  echo "No Docker engine responds: $(tail -n 1 <<<"$output")" >&2
  echo "Start it (systemctl start docker, or dockerd in the background) and join the group docker." >&2
  exit 1
fi
