"""Pods of Deployments as the blocks of pools: scaled with the tasks by the pool's server, inside the cluster."""
