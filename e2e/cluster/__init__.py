"""A real single-node Kubernetes for one Linux machine, without Docker, and the images that run on it.

`python -m e2e.cluster up|images|load|status|down|clean|build`. It must not know rollout: the demo and
the scenarios above it install that. Everything runs inside one set of Linux namespaces of its own, so
it neither sees nor disturbs another Kubernetes or container engine on the machine, and ends with them.
"""
