"""The mesh's model to Envoy's messages, one file per feature. Pure: the same model gives the same bytes.

Nothing here knows Kubernetes, connections or time.
"""
