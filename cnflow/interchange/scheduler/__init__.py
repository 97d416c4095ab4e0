"""Which manager runs which task. Pure."""
