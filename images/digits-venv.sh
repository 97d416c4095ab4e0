#!/usr/bin/env bash
# Make examples/.venv-digits with the packages of the images digits-train and digits-predict, for a machine without an engine.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=examples/.venv-digits
train=$PWD/images/examples/digits-train
predict=$PWD/images/examples/digits-predict
if [ "$venv/made" -nt "$train/requirements.txt" ]; then exit; fi

echo "Making $venv with scikit-learn and NumPy."
.venv/bin/python -m venv --clear "$venv" # the driver's Python, because a function cannot be sent to another minor version
"$venv/bin/pip" install --quiet --disable-pip-version-check -r "$train/requirements.txt" -r "$predict/requirements.txt"
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
printf '%s\n' "$train" "$predict" >"$site/digits.pth"
touch "$venv/made"
