"""Futures that calls of apps return: of results, of their parts, of files."""
