"""Provider of blocks on hosts that are reached by channels, without a scheduler."""
