"""Workloads' identities: the authority, whom it gives certificates, and how proxies come to trust it."""
