"""Events of a run on their way to sinks, and the sinks that come with cnflow."""
