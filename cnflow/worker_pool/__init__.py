"""Standing pools of workers, which serve several drivers: their server, its scaling, and the keys of its clients."""
