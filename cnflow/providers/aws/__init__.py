"""Provider of machines of EC2."""
