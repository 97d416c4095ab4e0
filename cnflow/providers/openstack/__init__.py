"""Provider of machines of OpenStack."""
