"""Metric providers that a MetricTemplate may name, one module each; `table` says which there are."""
