"""The bundled mesh: objects to IR to Envoy to xDS, injection and the agent. Knows nothing of canaries."""
