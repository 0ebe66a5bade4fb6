"""What an experiment should do next, worked out from what is known: pure, one module for each question."""
