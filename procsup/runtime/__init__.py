"""The runtime acts: the only folder that spawns, signals and waits."""
