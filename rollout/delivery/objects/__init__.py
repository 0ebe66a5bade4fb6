"""The objects that a canary brings forth, as pure functions of the canary and its target. Knows nothing of when."""
