"""A service for hooks: gates that people open, and load that runs while a canary is judged. Knows Flagger's API of it."""
