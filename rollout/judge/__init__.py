"""Is it worse? Thresholds, and where the numbers come from. Knows nothing of phases or routes."""
