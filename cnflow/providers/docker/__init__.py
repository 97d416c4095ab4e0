"""Provider of blocks that are containers of a Docker engine, here or remote.

`requests` makes what is sent and `responses` reads the answers, both without the SDK; `client` is the connection and
the only importer of the SDK; `images` finds and probes images, `networking` chooses addresses, `follower` copies
output; `provider` is the seam.
"""
