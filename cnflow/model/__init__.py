"""Nouns that several layers share; values only, no behaviour that reaches outside.

Written for Python 3.9: part of it travels in the capsule.
"""
