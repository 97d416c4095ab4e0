"""Runs tasks on engines of others: pools of `concurrent.futures`, and MPI. Their seam is `engine`."""
