"""The report of a run: one HTML file with plots and tables that needs nothing else, for `cnflow report`.

::

    Reader ──collect──> RunReport (values) ──page──> HTML with inline SVG ──> a file to send, to print, to keep
"""
