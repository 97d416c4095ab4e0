"""Figures of runs on a cluster: a real Slurm and a real sshd on this machine."""
