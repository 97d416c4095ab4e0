#!/usr/bin/env bash
# Succeed when the docker command is here and an engine answers it; else say what to do and fail.
set -euo pipefail

if ! command -v docker >/dev/null; then
  echo "The docker command is not installed. Install it (Debian: apt-get install docker.io; others:" \
    "https://docs.docker.com/engine/install/), or run without containers: Config(ignore_images=True)." >&2
  exit 1
fi
if ! said=$(docker info 2>&1 >/dev/null); then
  echo "No Docker engine answers: $(tail -n 1 <<<"$said")" >&2
  echo "Start it (systemctl start docker, or dockerd in the background) and see that you may use it (group docker)." >&2
  exit 1
fi
