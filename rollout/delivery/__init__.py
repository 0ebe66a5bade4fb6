"""A canary's life: observe, decide, act. Knows nothing of Envoy or xDS."""
