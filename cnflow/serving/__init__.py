"""Serves models over HTTP from running pools of workers."""
