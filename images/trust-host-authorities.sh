#!/usr/bin/env bash
# Make the root folder $1 trust each certificate authority that this machine trusts. Called by base-image.sh.
#
# Adds only the missing ones, each as a separate file, the input format of update-ca-certificates: so they survive a later
# update-ca-certificates in a Dockerfile, and OpenSSL, pip and every reader of the system's bundle use them.
set -euo pipefail
root=$1
bundle=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
[ -r "$bundle" ] || exit 0

awk -v folder="$root/usr/local/share/ca-certificates" '
  /-----BEGIN CERTIFICATE-----/ { pem = "" }
  { pem = pem $0 "\n" }
  /-----END CERTIFICATE-----/ {
    if (FNR == NR) known[pem] = 1
    else if (!(pem in known)) { known[pem] = 1; file = folder "/host-" ++count ".crt"; printf "%s", pem > file; close(file) }
  }
' "$root/etc/ssl/certs/ca-certificates.crt" "$bundle"
output=$(chroot "$root" update-ca-certificates 2>&1) || { echo "$output" >&2; exit 1; }
