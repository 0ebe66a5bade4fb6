"""Sequential tests: decide as soon as the evidence allows, with bounded error, however often one looks."""
