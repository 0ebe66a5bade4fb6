"""The process beside each Envoy. Starts fast and stays small: nothing here imports beyond a few standard modules."""
