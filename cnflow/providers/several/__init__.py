"""Provider of blocks from several providers, behind one interchange."""
