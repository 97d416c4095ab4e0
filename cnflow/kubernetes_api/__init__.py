"""Access to the API server of a Kubernetes cluster: the only package that imports the official client.

::

    ClusterAddress ──credentials──> Cluster ──request──> JSON
                                       │  ├──text─────> logs
                                       │  └──watch────> events ──> Reflector: all objects of one kind, kept up to date
                                       └── raises ApiError (the server's own words), ClusterError (no answer)

Objects are plain JSON: the client's models cost a second to import and bring no checks that the server does not make.
`errors`, `paths`, `rate_limit` and `object_store` import nothing of the client.
"""
