"""Shell script with which a virtual machine boots itself into a block; text alone.

::

    watchdog ──── ends the machine after `startup_timeout` unless a manager was started
    user's own ── the option `user_data`
    fetch code ── cnflow with the driver's Python     ┐ from the boot server, by whatever the machine has: Python 3.6,
    fetch order ─ settings of the manager, commands   ┘ curl, GNU wget or openssl; each checks the certificate first
    agent ─────── `cnflow.vm_agent`, in the background, so that cloud-init comes to its end
        └── when it ends, for whatever reason, the machine ends

Any failure is printed, sent to the boot server as far as that is reached, and ends the machine. All output goes to
``boot.log``, which `tail` copies to the output of cloud-init, and so to the machine's console.
"""

from __future__ import annotations

FOLDER = "/opt/cnflow"
"""Folder of cnflow on a machine; not below ``/var`` or ``/tmp``, which hardened systems mount ``noexec``."""

# For Python 3.6. Prints why it failed; exits with 7 where no connection came about, as curl does.
TALK = """\
import hashlib, http.client, socket, ssl, sys
host, port, pin, out = sys.argv[1:5]
body = open(sys.argv[5], "rb").read() if sys.argv[5:] else b""
def fail(why, code=1):
    print("cnflow: %s port %s: %s" % (host, port, why), flush=True)
    sys.exit(code)
try:
    raw = socket.create_connection((host.strip("[]"), int(port)), 10)
except OSError as error:
    fail(error, 7)
raw.settimeout(60)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
try:
    link = context.wrap_socket(raw)
    if hashlib.sha256(link.getpeercert(True)).hexdigest() != pin:
        fail("has another certificate than this run: it is not its machine, or not alone")
    line = "%s %s HTTP/1.0" % ("POST" if body else "GET", sys.stdin.read())
    head = "%s\\r\\nContent-Length: %d\\r\\n\\r\\n" % (line, len(body))
    link.sendall(head.encode() + body)
    answer = http.client.HTTPResponse(link)
    answer.begin()
    data = answer.read()
except (OSError, http.client.HTTPException) as error:
    fail(error)
with open(out, "wb") as file:
    file.write(data)
"""

SCRIPT = r"""#!/bin/sh
# cnflow: machine @RANK@ of block @BLOCK@
umask 077
PATH=${PATH:+$PATH:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=${HOME:-/root}
export PATH HOME
dir=@FOLDER@
hosts='@HOSTS@'
timeout=@TIMEOUT@ life=@LIFE@
end_machine() {
  sync
  sleep 2 # for the output
@ENDING@  shutdown -h now || poweroff || halt -p
}
rm -rf "$dir"
if ! { mkdir -p "$dir" && cd "$dir" && cat /proc/sys/kernel/random/uuid >nonce; }; then
  echo "=== cnflow: boot failed: $dir cannot be made ==="
  end_machine
  exit 1
fi
: >boot.log
tail -n +1 -f boot.log &
exec >>boot.log 2>&1 </dev/null
step() { echo "$*" >step; echo "cnflow: $*"; }
fail() {
  mkdir failed 2>/dev/null || return # once: the watchdog may come here, too
  echo "=== cnflow: boot failed: $* ==="
  (sleep 60; end_machine) & # however long the report takes
  { tail -c 12000 boot.log
    grep -iE 'warn|error|traceback' /var/log/cloud-init.log 2>/dev/null | tail -n 15; } >report
  for host in $hosts; do attempt "$host" report sent report && break; done
  end_machine
}
@OBTAIN@(
  sleep "$timeout"
  [ -e started ] || fail "no manager was started within startup_timeout=$timeout s; the machine $(cat step)"
) &
[ -z "$life" ] || (
  sleep "$life"
  echo "cnflow: the machine has reached its longest life"
  end_machine
) &
if mkdir -p /var/lib/cloud/scripts/per-boot 2>/dev/null; then # a machine that boots again has lost its manager
  printf '#!/bin/sh\nshutdown -h now || poweroff\n' >/var/lib/cloud/scripts/per-boot/cnflow-end
  chmod 755 /var/lib/cloud/scripts/per-boot/cnflow-end
fi
[ "$(uname -m)" = @MACHINE@ ] || {
  fail "the machine is a $(uname -m), and the driver's Python, which it runs, is for @MACHINE@: choose types of that"
  exit 1
}
@ACCESS@@USER@fetch code
fetch order
step "starts its manager"
(
  trap '' HUP
  code/python/bin/python3 -I code/cnflow/vm_agent/__main__.py "$dir"
  code=$?
  [ -e ended ] || fail "its agent ended with exit code $code"
  end_machine
) &
"""

FETCH = r"""port=@PORT@ pin=@PIN@ key='@KEY@' token=@TOKEN@
talk_python() {
  for python in python3 python /usr/libexec/platform-python; do
    "$python" -c 'import ssl, sys; sys.exit(sys.version_info < (3, 6))' 2>/dev/null || continue
    printf %s "$path" | "$python" -I talk.py "$1" "$port" "$pin" "$3" ${4:+"$4"}
    return
  done
  return 127
}
talk_curl() {
  printf 'url = "https://%s:%s%s"\n' "$1" "$port" "$path" | curl -q -K - -sS -k --pinnedpubkey "sha256//$key" \
    --noproxy '*' --connect-timeout 10 -m 600 -o "$3" ${4:+--data-binary "@$4"}
}
talk_wget() {
  wget -nv --no-config --ca-certificate=certificate --no-proxy -T 60 -t 1 --content-on-error -O "$3" \
    ${4:+--post-file="$4"} "https://$1:$port$path" 2>wget.log
  code=$?
  sed "s/$token/TOKEN/g" wget.log # its words have the address, and consoles are read by many
  return $code
}
talk_openssl() {
  if [ -n "$4" ]; then
    printf 'POST %s HTTP/1.0\r\nContent-Length: %s\r\n\r\n' "$path" "$(wc -c <"$4" | tr -d ' ')"
    cat "$4"
  else
    printf 'GET %s\r\n\r\n' "$path" # HTTP/0.9: the answer has no head
  fi | openssl s_client -connect "$1:$port" -CAfile certificate -verify_return_error -quiet >"$3"
}
attempt() { # HOST WHAT OUTPUT [BODY]
  path=/$token/$(cat nonce)/$2 tried=
  for way in python curl wget openssl; do
    [ $way = python ] || command -v $way >/dev/null 2>&1 || continue
    "talk_$way" "$@"
    code=$?
    case $code in 0) return 0 ;; 4 | 7 | 28) return 1 ;; 127) ;; *) tried=1 ;; esac
  done
  [ "$tried" ] || fail "the machine has none of python3 (3.6 or newer), curl, wget and openssl to fetch cnflow by"
  return 1
}
fetch() { # WHAT, a tar that is unpacked to the folder WHAT
  step "fetches its $1 from $hosts port $port"
  mkdir -p "$1"
  pause=1 untar='import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])'
  while :; do
    for host in $hosts; do
      attempt "$host" "$1" "$1.tar" || continue
      case $(head -c 7 "$1.tar" | tr -d '\000') in
      cnflow:) fail "$(head -c 1000 "$1.tar")"; exit 1 ;;
      esac
      tar -xzf "$1.tar" -C "$1" && rm "$1.tar" && return
      "${python:-python3}" -c "$untar" "$1.tar" "$1" && rm "$1.tar" && return
    done
    sleep $pause
    [ $pause -ge 8 ] || pause=$((pause * 2))
  done
}
cat >talk.py <<'END_OF_PART'
@TALK@END_OF_PART
cat >certificate <<'END_OF_PART'
@CERTIFICATE@END_OF_PART
"""
"""Part that fetches from the boot server."""

PUSH = r"""attempt() { return 1; } # there is no server
fetch() { # WHAT, a tar that is unpacked to the folder WHAT
  step "waits for its $1, which the driver brings by ssh"
  mkdir -p "$1"
  until [ -s "$inbox/$1.tar" ]; do sleep 1; done
  tar -xzf "$inbox/$1.tar" -C "$1" || { fail "the $1 that the driver has brought cannot be unpacked"; exit 1; }
  rm -f "$inbox/$1.tar"
}
"""
"""Part that waits for what the driver brings."""

ACCESS = r"""step "lets the driver in by ssh"
@SSH@umask 077
inbox=$home/@INBOX@
"""
"""Part that opens the machine to the driver; ``home`` is set by the part of ssh."""

INBOX = ".cnflow-boot"
"""Folder of the user of ssh, in which the driver puts code and order."""

USER = r"""cat >user_data <<'@END@'
@COMMANDS@
@END@
chmod 700 user_data
step "runs the commands of user_data"
case $(head -c 2 user_data | tr -d '\000') in
'#!') (cd / && "$dir/user_data") ;;
*) (cd / && sh "$dir/user_data") ;;
esac
code=$?
[ $code = 0 ] || { fail "the commands of user_data ended with exit code $code"; exit 1; }
"""
