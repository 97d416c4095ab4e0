"""Figures of runs in pods, beside bare pods and beside runs on this machine."""
