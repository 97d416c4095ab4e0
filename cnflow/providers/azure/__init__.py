"""Virtual machines of Azure. Tried against a server in memory alone."""
