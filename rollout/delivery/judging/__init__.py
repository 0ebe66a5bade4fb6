"""The sequential judge in a canary's life: what is watched, what it says, and what of it the status keeps."""
