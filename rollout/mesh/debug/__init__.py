"""What the control plane says of itself to who operates it: over HTTP on loopback, and over xDS to who may know."""
