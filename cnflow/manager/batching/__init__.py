"""Decides which calls of models run together, in which worker, and when. Pure: no clock, no sockets, no logs."""
