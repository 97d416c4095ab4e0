#!/usr/bin/env bash
# Make the root folder $1 trust each certificate authority that this machine trusts. Called by base-image.sh.
#
# Only those that the root lacks are added, each as a file of its own, as update-ca-certificates wants them: so they
# outlive a later update-ca-certificates in a Dockerfile, and serve OpenSSL, pip and all that read the system's bundle.
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
said=$(chroot "$root" update-ca-certificates 2>&1) || { echo "$said" >&2; exit 1; }
