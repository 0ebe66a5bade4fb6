"""The mesh's own words: frozen, comparable, and free of both Kubernetes' JSON and Envoy's messages.

`ingest` writes this model, `translate` reads it. It takes no clock, no randomness and no I/O.
"""
