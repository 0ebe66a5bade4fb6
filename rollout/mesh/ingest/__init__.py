"""Kubernetes' and Istio's objects to the mesh's model, with a problem for whatever cannot be acted upon. Pure."""
