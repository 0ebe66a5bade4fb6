"""What is decided in each phase of a canary's life, one module per part of it. Pure."""
