"""Progressive delivery and chaos for Kubernetes, with the service mesh it drives."""

__version__ = "0.1.0"
