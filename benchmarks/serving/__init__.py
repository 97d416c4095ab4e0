"""Measures served models over HTTP on loopback: cnflow beside Ray Serve, BentoML and LitServe, on the same ``predict``.

::

    __main__ ──starts──> peers/NAME.py (a process in the peers' environment, or cnflow's own) ──serves──> model.Model
       └──> load: requests over keep-alive connections, closed loop or at a rate ──> Figures ──> table, aims
"""
