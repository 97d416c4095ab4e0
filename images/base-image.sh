#!/usr/bin/env bash
# Make cnflow-base:X.Y from Debian packages: it replaces python:X.Y-slim if no image registry can be reached.
#
# Usage: images/base-image.sh [X.Y]      X.Y is the wanted minor version of Python; it selects the Debian suite.
#   SUITE=trixie   this suite          MIRROR=URL   this mirror          FORCE=1   make it again if it exists
# Standard output is the image's name alone.
#
# The image trusts the certificate authorities of this machine, so `RUN pip install` also works behind a proxy that signs
# its traffic. Needs mmdebstrap, without root also uidmap, and a Docker engine.
set -euo pipefail
cd "$(dirname "$0")"

here=$(. /etc/os-release; [ "${ID:-}" != debian ] || echo "${VERSION_CODENAME:-}") # this machine's own suite
case ${1:-} in # https://packages.debian.org/python3: one Python minor per suite
  3.11) suite=bookworm ;;
  3.13) suite=trixie ;;
  3.14) suite=sid ;;
  *) suite=${here:-bookworm} ;;
esac
suite=${SUITE:-$suite}
./engine.sh

if [ "${FORCE:-}" != 1 ] && docker image inspect "cnflow-base:$suite" >/dev/null 2>&1; then
  echo "The base image exists (FORCE=1 makes it again)." >&2
  echo "cnflow-base:$suite"
  exit
fi
needed=(mmdebstrap)
[ "$(id -u)" = 0 ] || needed+=(newuidmap) # from the package uidmap: mmdebstrap without root needs it
for command in "${needed[@]}"; do
  command -v "$command" >/dev/null && continue
  echo "The command $command is not installed. Run as root: apt-get install ${command/newuidmap/uidmap}" >&2
  exit 1
done

# apt itself reads this machine's sources, in either format (deb822 or one line each), and prints them in one.
mirror=${MIRROR:-$([ -z "$here" ] ||
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Identifier: Packages' 2>/dev/null |
  awk -v here="$here" '$1 ~ /^http/ && ($2 == here || $2 == "stable") && $3 == "main" { print $1; exit }')}
mirror=${mirror:-http://deb.debian.org/debian}
echo "Making cnflow-base:$suite from $mirror (about a minute)." >&2

options=()
# A mirror that lags behind, or a frozen copy of one, has lists of sid whose week is over; their signatures are checked all the same.
[ "$suite" != sid ] || options+=(--aptopt='Acquire::Check-Valid-Until "false"')

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# usr-is-merged and its hook make /bin and the like links from the start, so the packages that would merge them (47 MB) stay out.
mmdebstrap "${options[@]}" --variant=minbase --hook-dir=/usr/share/mmdebstrap/hooks/maybe-merged-usr \
  --include=usr-is-merged,python3,python3-pip,python3-venv,ca-certificates,netbase,tzdata \
  --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
  --customize-hook='ln -s /usr/bin/python3 "$1/usr/local/bin/python"' \
  --customize-hook='rm -f "$1"/usr/lib/python3.*/EXTERNALLY-MANAGED' \
  --customize-hook='find "$1/usr" -depth -name __pycache__ -exec rm -r {} +' \
  --customize-hook="$PWD/trust-host-authorities.sh" \
  "$suite" "$work/root.tar" "$mirror" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
docker import --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8' \
  --change 'CMD ["python3"]' "$work/root.tar" "cnflow-base:$suite" >/dev/null

minor=$(docker run --rm "cnflow-base:$suite" python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
docker tag "cnflow-base:$suite" "cnflow-base:$minor"
echo "Made cnflow-base:$suite, also tagged cnflow-base:$minor." >&2
echo "cnflow-base:$suite"
