"""Values that several layers share: tasks, files, resources, blocks, settings of processes. No I/O.

Written for Python 3.9: part of the package is in the capsule.
"""
