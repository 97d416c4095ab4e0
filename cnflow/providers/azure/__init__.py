"""Provider of machines of Azure."""
