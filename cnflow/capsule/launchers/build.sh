#!/usr/bin/env bash
# Compile launcher.c and unpacker.c for each architecture, into files named as `uname -m` names it. Run by `make launchers`.
# Needs (Debian): gcc gcc-aarch64-linux-gnu on x86_64. Only after a change of them: the results are in the repository.
set -euo pipefail
cd "$(dirname "$0")"

flags=(-static -nostdlib -nostartfiles -ffreestanding -fno-builtin -fno-stack-protector -fno-asynchronous-unwind-tables)
flags+=(-fno-pie -no-pie -Wall -Wextra -Werror -Wl,--build-id=none,-z,norelro,-z,noseparate-code -s)
for machine in x86_64 aarch64; do
  "$machine-linux-gnu-gcc" -Os "${flags[@]}" -o "$machine" launcher.c
  "$machine-linux-gnu-gcc" -O2 "${flags[@]}" -fno-tree-loop-distribute-patterns -o "unpack-$machine" unpacker.c
  chmod 755 "$machine" "unpack-$machine"
done
