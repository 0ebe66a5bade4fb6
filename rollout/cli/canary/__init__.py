"""The commands about canaries: what is read, how it is shown, and what may be asked; the same as a kubectl plugin."""
