"""The parts of the mesh's benchmark: a mesh made of manifests, the control plane's process and the proxies'."""
