"""Environment of the peers, ``benchmarks/.venv-peers``: created on demand, each peer installed by itself.

A peer that cannot be installed is recorded with pip's reason, does not affect the others, and is tried again next time.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.systems import SYSTEMS

if TYPE_CHECKING:
    from collections.abc import Collection

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / "benchmarks" / ".venv-peers"
PYTHON = VENV / "bin" / "python"
_NOTES = VENV / "peers.json"
_HERE = f"{ROOT}[docker]"


def install(requirements: Collection[str] | None = None) -> dict[str, str]:
    """Install missing peers, or those of *requirements*; return the error of each that failed, by requirement.

    Raises:
        subprocess.CalledProcessError: the environment, NumPy or cnflow cannot be installed; no benchmark can run.
    """
    notes: dict[str, str] = json.loads(_NOTES.read_text()) if _NOTES.exists() else {}
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if notes.pop(_HERE, "") != wanted:
        _pip("--editable", _HERE, "numpy").check_returncode()
    for requirement in dict.fromkeys(entry.requirement for entry in SYSTEMS.values() if entry.requirement):
        if requirements is not None and requirement not in requirements:
            continue
        if notes.get(requirement) != "":
            print(f"Installing {requirement} into {VENV.relative_to(ROOT)}", file=sys.stderr)
            done = _pip(requirement)
            lines = done.stderr.strip().splitlines() or [f"pip exited with {done.returncode}"]
            notes[requirement] = lines[-1] if done.returncode else ""
    _NOTES.write_text(json.dumps({**notes, _HERE: wanted}, indent=2))
    return {requirement: error for requirement, error in notes.items() if error}


def _pip(*what: str) -> subprocess.CompletedProcess[str]:
    command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what]
    return subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
