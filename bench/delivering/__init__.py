"""The parts of the delivery controller's benchmark: what it is given, who plays its cluster, and the process itself."""
