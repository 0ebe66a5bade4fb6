"""Gateway API's public conformance suite against the bundled mesh, on the real cluster."""
