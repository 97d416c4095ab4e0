"""Builds images from recipes, and removes those that it built. In the driver; engines are reached through a seam.

::

    ImageRecipe ── plan (reads files) ──> Plan: Dockerfile, context, content-addressed name
        builder: is the name there? ── yes ──> done
                 no: lock of the name ──> BuildKit (docker's command) or the classic builder (the engine's API)
                                               └── output ──> build_log ──> progress, log file, error
        own_images: which images of the engine are cnflow's own, and which may be removed
"""
