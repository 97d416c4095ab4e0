"""Archive of an image with one layer, made without an engine: ``make_image.py OUT.tar NAME:TAG FOLDER CONFIG-JSON``."""

import hashlib
import io
import json
import sys
import tarfile


def make_image(path, name, folder, config):
    """Write the archive *path*, which ``ctr images import`` and ``docker load`` accept."""
    layer = _layer_of(folder)
    diff = hashlib.sha256(layer).hexdigest()
    described = {
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff}"]},
        "history": [{"created_by": "make_image.py"}],
    }
    settings = json.dumps(described).encode()
    digest = hashlib.sha256(settings).hexdigest()
    manifest = [{"Config": f"{digest}.json", "RepoTags": [name], "Layers": [f"{diff}/layer.tar"]}]
    parts = {f"{digest}.json": settings, f"{diff}/layer.tar": layer, "manifest.json": json.dumps(manifest).encode()}
    with tarfile.open(path, "w") as archive:
        for part, content in parts.items():
            info = tarfile.TarInfo(part)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def _layer_of(folder):
    def owned_by_root(info):
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        return info

    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        archive.add(folder, arcname=".", filter=owned_by_root)
    return layer.getvalue()


if __name__ == "__main__":
    make_image(*sys.argv[1:4], json.loads(sys.argv[4]))
