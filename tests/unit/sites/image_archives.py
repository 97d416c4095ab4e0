"""Makes small Docker archives and SIFs."""

import hashlib
import io
import json
import struct
import tarfile


def tar_of(members):
    """A tar of ``{name: content}``; a content of None is a folder, and one of ``("link", target)`` a hard link."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            if content is None:
                member.type, member.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(member)
            elif isinstance(content, tuple):
                member.type = tarfile.LNKTYPE if content[0] == "link" else tarfile.SYMTYPE
                member.linkname = content[1]
                tar.addfile(member)
            else:
                member.size, member.mode = len(content), 0o755
                tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


def archive_of(*layers, architecture="amd64", variables=("PATH=/bin",), left_out=()):
    """A Docker archive with *layers*, the lowest first, each as `tar_of` takes it; and the id of its image."""
    config = json.dumps({"architecture": architecture, "config": {"Env": list(variables)}, "n": len(layers)}).encode()
    identity = hashlib.sha256(config).hexdigest()
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = [{"Config": f"{identity}.json", "RepoTags": ["app:1"], "Layers": names}]
    files = {f"{identity}.json": config, "manifest.json": json.dumps(manifest).encode()}
    files |= {name: tar_of(layer) for name, layer in zip(names, layers, strict=True)}
    return tar_of({name: content for name, content in files.items() if name not in left_out}), f"sha256:{identity}"


def sif_of(content=b"x" * 100, architecture=b"02"):
    """A file with the header of a SIF."""
    head = b"#!/usr/bin/env run-singularity\n\0".ljust(32, b"\0")[:32] + b"SIF_MAGIC\0" + b"01\0" + architecture + b"\0"
    head = head.ljust(64, b"\0") + struct.pack("<qqqq", 0, 0, 0, 0) + struct.pack("<qqqq", 128, 0, 128, len(content))
    return head + content
