"""Files that travel between the driver and nodes with which it shares none, beside what the line can carry."""
