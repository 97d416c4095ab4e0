"""Sites: machines that are reached by a channel. What cnflow keeps there: its own code, settings of blocks, images."""
