#!/usr/bin/env bash
# Build every image of this folder; what has not changed comes from the engine's cache. Called by `make images`.
#
# Usage: images/build.sh [BASE]     BASE: the image to build on. Without it: python:X.Y-slim of the driver's X.Y where it
#                                   is here or can be pulled, else cnflow-base:X.Y, made here from Debian packages.
set -euo pipefail
cd "$(dirname "$0")"
./engine.sh
docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0 # without BuildKit, ask for the older builder

minor_of() { "$@" -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }
present() { docker image inspect "$1" >/dev/null 2>&1; }
build() { # build TAG FOLDER
  local started=$SECONDS said
  said=$(docker build --quiet --tag "$1" --build-arg "BASE=$base" "$2" 2>&1) || { echo "$said" >&2; return 1; }
  echo "  $1 ($((SECONDS - started)) s)"
}

driver=$(minor_of ../.venv/bin/python)
base=${1:-}
if [ -z "$base" ]; then
  for base in "python:$driver-slim" "cnflow-base:$driver"; do if present "$base"; then break; fi; done
  if ! present "$base"; then
    base=python:$driver-slim
    timeout 120 docker pull --quiet "$base" >/dev/null 2>&1 || {
      echo "$base is not here and cannot be pulled."
      base=$(./base-image.sh "$driver")
    }
  fi
fi
inside=$(minor_of docker run --rm "$base" python)
echo "Building on $base (Python $inside):"
if [ "$inside" != "$driver" ]; then
  echo "  Beware: the driver's Python is $driver, and a function cannot be sent to another minor. Make the driver's" \
    "environment with Python $inside (make clean; make venv PYTHON=python$inside) or give a BASE with Python $driver." >&2
fi

build app1:0.1 examples/app1
build app2:0.1 examples/app2
build digits-predict:0.1 examples/digits-predict
build digits-train:0.1 examples/digits-train
trap 'rm -rf worker/capsule' EXIT # it is other people's code: no tool that looks at the sources need see it
rm -rf worker/capsule
../.venv/bin/cnflow capsule unpack "$base" worker/capsule >/dev/null
build "cnflow-worker:$inside" worker
