"""What users write: kinds, parsing, defaults and validation. Pure; knows nothing of clocks, networks or reconciliation."""
