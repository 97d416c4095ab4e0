"""Carries calls from the processes that speak HTTP to the one that decides, over a pair of Unix sockets each."""
