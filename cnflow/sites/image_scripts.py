r"""POSIX sh that makes one image at a site, once for all who want it at the same time, and its reports; pure.

::

    bring_script(Wanted) ──sh──> final there? ──yes─────────────────────────────────────> have NAME
                                   │ no
                                 lock file taken (``set -C``: O_EXCL) ── taken by another ──> wait WHO, once a second
                                   │                                       └── silent for `PATIENCE`: taken over
                                 final there by now? ──yes──────────────────────────────> have NAME
                                   │ no
                                 what is made from the driver's bytes: send ──> bytes SIZE .tar\n ..., or file\n PATH\n
                                 make, beside it ──> check ──> mv, which is atomic ─────> done NAME

Who holds a lock writes a number into it every `_BEAT` seconds, so that those who wait see it live, on whatever host,
by their own clocks. Reports are lines that begin with `MARK`; all else on stdout is what a login prints.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from typing import NamedTuple

MARK = "@cnflow-image "
"""Beginning of each line of the script that is a report."""

PATIENCE = 30
"""Seconds after which a lock whose holder is silent is taken over."""

_BEAT = 3

_LIBRARY = """\
umask 022
trap '' PIPE
mark='{mark}'
tell() {{ printf '%s%s\\n' "$mark" "$*"; }}
fail() {{ tell "fail $*"; exit 1; }}
cache={cache}
mkdir -p -- "$cache" || fail folder "$cache"
cache=$(cd -- "$cache" && pwd) || fail folder "$cache"
name={name}
pointer={pointer}
anew={anew}
tell "folder $cache"
me="$(hostname 2>/dev/null || uname -n)-$$"
lock=$cache/.${{name:-$pointer}}.lock work=$cache/.${{name:-$pointer}}.$me
have() {{
  if [ -z "$anew" ] && [ -n "$pointer" ] && [ -f "$cache/$pointer" ]; then name=$(cat "$cache/$pointer"); fi
  final=$cache/$name
  [ -n "$name" ] && [ -e "$final" ] || return 1
  [ -f "$final.facts" ] && sed "s/^/${{mark}}facts /" "$final.facts"
  tell "have $name"
  exit 0
}}
is_mine() {{ read -r holder count 2>/dev/null <"$lock" && [ "$holder" = "$me" ]; }}
beat() {{
  count=0
  while kill -0 "$1" 2>/dev/null && is_mine; do
    count=$((count + 1)); echo "$me $count" >"$lock"; sleep {beat}
  done
}}
acquire() {{
  seen='' silent=0 refused=0
  until (set -C; echo "$me 0" >"$lock") 2>/dev/null; do
    if [ -e "$lock" ]; then
      now=$(cat "$lock" 2>/dev/null)
      if [ "$now" = "$seen" ]; then silent=$((silent + 1)); else silent=0 seen=$now; fi
      [ "$silent" -eq 1 ] && tell "wait ${{now%% *}}"
      if [ "$silent" -ge {patience} ]; then
        tell "taken over from ${{now%% *}}"
        mv -- "$lock" "$lock.$me" 2>/dev/null
        if [ "$(cat "$lock.$me" 2>/dev/null)" != "$seen" ]; then ln -- "$lock.$me" "$lock" 2>/dev/null; fi
        rm -f -- "$lock.$me"; silent=0
        case ${{now%% *}} in */* | '') ;; *) rm -rf -- "$cache/.${{name:-$pointer}}.${{now%% *}}" 2>/dev/null ;; esac
        continue
      fi
    else
      refused=$((refused + 1))
      [ "$refused" -ge 3 ] && {{ (set -C; echo "$me 0" >"$lock"); fail lock "$cache"; }}
    fi
    sleep 1
    have
  done
  trap end EXIT; trap 'exit 143' HUP INT TERM
  beat $$ </dev/null >/dev/null 2>&1 &
  beating=$!
}}
end() {{
  kill "$beating" 2>/dev/null; wait "$beating" 2>/dev/null
  rm -rf -- "$work"
  is_mine && rm -f -- "$lock"
}}
login() {{
  tell login
  IFS= read -r user && IFS= read -r password || fail cut
}}
receive() {{
  tell send
  read -r how size suffix || fail cut
  unpack=cat
  case $suffix in *.gz) unpack='gzip -dc' ;; esac
  if [ "$how" = file ]; then
    IFS= read -r upload || fail cut
    [ "$unpack" = cat ] && return
    $unpack "$upload" >"$work/upload.tar" || fail write "$work"
    upload=$work/upload.tar
    return
  fi
  [ "$how" = bytes ] || fail cut
  upload=$work/upload.tar
  free=$(df -Pk "$cache" | awk 'NR == 2 {{ print $4 }}')
  [ "$free" -ge $((size / 512)) ] 2>/dev/null || fail space "$cache" "$free" "$size"
  if [ "$unpack" = cat ]; then
    cat >"$upload" || fail write "$upload"
    [ "$(wc -c <"$upload" | tr -d ' ')" = "$size" ] || fail cut
  else
    $unpack >"$upload" || fail cut
  fi
}}
watched() {{
  {{ "$@" 2>&1 </dev/null; echo $? >"$work/code"; }} | while IFS= read -r line; do tell "> $line"; done
  code=$(cat "$work/code"); return "${{code:-1}}"
}}
"""

_MAIN = """\
have
acquire
have
mkdir -p -- "$work" || fail write "$work"
part=$work/part
{make}
[ -e "$part" ] || fail nothing
{check}
{finish}
mv -- "$part" "$final" || fail write "$final"
[ -n "$pointer" ] && {{ echo "$name" >"$work/pointer" && mv -- "$work/pointer" "$cache/$pointer"; }}
tell "done $name"
"""

_BY_CONTENT = """\
name=$(sha256sum "$part" | cut -c1-64){suffix}
[ "${{#name}}" -ge 64 ] || fail write "$part"
final=$cache/$name
if [ -e "$final" ]; then rm -rf -- "$part"; part=$work/part2; mv -- "$final" "$part"; fi"""

CHECK_SIF = '[ "$(dd if="$part" bs=1 skip=32 count=9 2>/dev/null)" = SIF_MAGIC ] || fail no-sif'
"""The magic of https://github.com/sylabs/sif/blob/main/pkg/sif/sif.go, which follows 32 bytes of a start line."""


@dataclass(frozen=True)
class Wanted:
    """An image that a site shall have."""

    cache: str
    """Word of sh that expands to the folder of images."""

    name: str
    """Of the file or folder in the cache; empty if only the content will tell, which needs a *pointer*."""

    make: str
    """POSIX sh that makes ``$part``; it can call ``receive``, which sets ``$upload``, ``watched`` and ``fail``."""

    pointer: str = ""
    """Name of a file that has the name of the image, for one whose content is not known before."""

    suffix: str = ""
    """Of the name by content."""

    check: str = ""
    is_anew: bool = False
    """What the *pointer* names is made again, and replaced."""

    def anew(self) -> Wanted:
        """Return the same, made again."""
        return replace(self, is_anew=True)


def bring_script(wanted: Wanted, patience: int = PATIENCE) -> str:
    """Script that makes *wanted*, unless the site has it."""
    library = _LIBRARY.format(
        mark=MARK,
        cache=wanted.cache,
        name=shlex.quote(wanted.name),
        pointer=shlex.quote(wanted.pointer),
        anew="yes" if wanted.is_anew else "",
        patience=patience,
        beat=_BEAT,
    )
    finish = "" if wanted.name else _BY_CONTENT.format(suffix=shlex.quote(wanted.suffix) if wanted.suffix else "")
    return library + _MAIN.format(make=wanted.make, check=wanted.check, finish=finish)


class Report(NamedTuple):
    """A line of the script."""

    kind: str
    """``folder``, ``facts``, ``have``, ``wait``, ``taken``, ``login``, ``send``, ``>``, ``fail`` or ``done``."""

    words: str


def parse_report(line: str) -> Report | None:
    """The report in *line*; None for what a login prints. Noise without a line break may stand before it."""
    _, mark, rest = line.rstrip("\r\n").partition(MARK)
    if not mark:
        return None
    kind, _, words = rest.partition(" ")
    return Report(kind, re.sub(r"\x1b\[[0-9;]*m", "", words))


_LOOK = """\
{cache}
path={path}
[ -e "$path" ] || {{ tell absent; exit 0; }}
[ -r "$path" ] || {{ tell unreadable; exit 0; }}
path=$(cd -- "$(dirname -- "$path")" && pwd)/$(basename -- "$path")
stamp=$(printf '%s %s' "$path" "$(stat -c '%s %Y %Z' -- "$path")" | sha256sum | cut -c1-64)
if [ -d "$path" ]; then kind=folder digest=$stamp
else
  kind=archive
  [ "$(dd if="$path" bs=1 skip=32 count=9 2>/dev/null)" = SIF_MAGIC ] && kind=sif
  if [ -f "$cache/.$stamp.digest" ]; then digest=$(cat "$cache/.$stamp.digest")
  else
    digest=$(sha256sum -- "$path" | cut -c1-64)
    echo "$digest" >"$cache/.$stamp.digest.$$" && mv -- "$cache/.$stamp.digest.$$" "$cache/.$stamp.digest"
  fi
fi
[ -f "$cache/$digest.facts" ] && sed "s/^/${{mark}}facts /" "$cache/$digest.facts"
tell "file $kind $digest $path"
"""

_CACHE = """\
umask 022
mark='{mark}'
tell() {{ printf '%s%s\\n' "$mark" "$*"; }}
cache={cache}
mkdir -p -- "$cache" && cache=$(cd -- "$cache" && pwd) || {{ tell "fail folder $cache"; exit 1; }}
tell "folder $cache"
"""


class SiteFile(NamedTuple):
    """An image file, or a folder, that a site has already."""

    kind: str
    """``sif``, ``archive`` or ``folder``; ``absent`` or ``unreadable``, for which the rest is empty."""

    digest: str = ""
    """``sha256:...`` of a file's bytes; of a folder that of its path and times."""

    path: str = ""
    cache: str = ""
    facts: str = ""
    """As they were written when it was probed."""


def look_script(cache: str, path: str) -> str:
    """Script that looks at a file; *cache* and *path* are words of sh. A digest is computed once per file."""
    return _LOOK.format(cache=_CACHE.format(mark=MARK, cache=cache), path=path)


def parse_look(output: str) -> SiteFile | None:
    """What `look_script` reported; None if it did not end."""
    reports = [report for line in output.splitlines() if (report := parse_report(line)) is not None]
    words = {report.kind: report.words for report in reports}
    if "absent" in words or "unreadable" in words:
        return SiteFile("absent" if "absent" in words else "unreadable")
    if "file" not in words:
        return None
    kind, digest, path = words["file"].split(" ", 2)
    return SiteFile(kind, f"sha256:{digest}", path, words.get("folder", ""), words.get("facts", ""))
