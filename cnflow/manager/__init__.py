"""One per node, first process in the container: starts workers, feeds them, watches them, reports to the interchange.

Never unpickles what it carries. Written for Python 3.9: it runs from the capsule, on the image's own Python.
"""
