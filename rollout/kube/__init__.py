"""The one door to Kubernetes: client, reflector, store, writer, events, queue, admission. Knows nothing of what the objects mean."""
