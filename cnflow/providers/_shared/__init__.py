"""Code shared by several providers."""
