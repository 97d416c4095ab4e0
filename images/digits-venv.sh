#!/usr/bin/env bash
# Make examples/.venv-digits with the packages of the images digits-train and digits-predict, for a machine without an engine.
# VENV=FOLDER: the driver's environment (default: .venv).
set -euo pipefail
cd "$(dirname "$0")/.."
venv=examples/.venv-digits
train=$PWD/images/examples/digits-train
predict=$PWD/images/examples/digits-predict
if [ "$venv/made" -nt "$train/requirements.txt" ] && [ "$venv/made" -nt "$predict/requirements.txt" ]; then exit; fi

rm -rf "$venv"
driver=${VENV:-.venv}/bin/python # one Python for script and workers, as without an image
.ci/venv "$venv" "$driver" --requirement "$train/requirements.txt" --requirement "$predict/requirements.txt"
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
printf '%s\n' "$train" "$predict" >"$site/digits.pth"
