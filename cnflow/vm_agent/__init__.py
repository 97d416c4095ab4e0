"""Runs on a virtual machine of a cloud, and beside the interchange: boots the manager, and ends the machine after it."""
