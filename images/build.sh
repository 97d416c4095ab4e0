#!/usr/bin/env bash
# Build the images of this folder; unchanged layers come from the engine's cache. Called by `make images`, and with
# ONLY=digits by `make demo`, which needs two of them.
#
# Usage: images/build.sh [BASE]     BASE: the image to build on. Default: python:X.Y-slim of the driver's X.Y if the engine
#                                   has it or can pull it, else cnflow-base:X.Y, made from Debian packages.
#   VENV=FOLDER   the driver's environment (default: .venv)      ONLY=PREFIX   only images whose names begin with it
set -euo pipefail
cd "$(dirname "$0")"
./engine.sh
docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0 # without BuildKit, use the older builder

minor_of() { "$@" -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }
present() { docker image inspect "$1" >/dev/null 2>&1; }
wanted() { [[ $1 == "${ONLY:-}"* ]]; }
build() { # build TAG FOLDER
  local started=$SECONDS output
  output=$(docker build --quiet --tag "$1" --build-arg "BASE=$base" "$2" 2>&1) || { echo "$output" >&2; return 1; }
  echo "  $1 ($((SECONDS - started)) s)"
}

venv=../${VENV:-.venv}
driver=$(minor_of "$venv/bin/python")
base=${1:-}
if [ -z "$base" ]; then
  for base in "python:$driver-slim" "cnflow-base:$driver"; do if present "$base"; then break; fi; done
  if ! present "$base"; then
    base=python:$driver-slim
    timeout 120 docker pull --quiet "$base" >/dev/null 2>&1 || {
      echo "The engine does not have $base and cannot pull it."
      base=$(./base-image.sh "$driver")
    }
  fi
fi
inside=$(minor_of docker run --rm "$base" python)
echo "Building on $base (Python $inside):"
if [ "$inside" != "$driver" ]; then
  echo "  The driver's Python is $driver: functions travel to these images as source."
fi

building=() # process ids; two builds at once, because each waits for its downloads
for folder in examples/digits-train examples/digits-predict examples/minilm examples/app1 examples/app2; do
  wanted "${folder#*/}" || continue
  if [ ${#building[@]} = 2 ]; then wait "${building[0]}"; building=("${building[@]:1}"); fi
  build "${folder#*/}:0.1" "$folder" &
  building+=($!)
done
for pid in "${building[@]}"; do wait "$pid"; done
if wanted sklearn-digits; then base=digits-train:0.1 build sklearn-digits:0.1 examples/sklearn-digits; fi # on the image with the library

trap 'rm -rf worker/capsule cnflow/wheels' EXIT # made from other sources: no tool that looks at these need see them
rm -rf worker/capsule cnflow/wheels
if wanted cnflow-worker; then
  "$venv/bin/cnflow" capsule unpack "$base" worker/capsule >/dev/null
  build "cnflow-worker:$inside" worker
fi
version=$(sed -n 's/^version = "\(.*\)"/\1/p' ../pyproject.toml)
if wanted "cnflow:$version"; then
  "$venv/bin/python" cnflow/wheel.py
  build "cnflow:$version" cnflow
fi
