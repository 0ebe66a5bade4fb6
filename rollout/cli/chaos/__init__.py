"""`rollout chaos`: thin commands about experiments and their reports."""
