"""Provider of machines of Google Compute Engine."""
