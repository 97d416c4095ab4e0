"""Runs on virtual machines of a cloud, and beside the interchange: boots the manager, and ends its machine after it."""
