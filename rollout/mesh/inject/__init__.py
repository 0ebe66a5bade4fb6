"""Injection: which pods get a proxy, and what is added to them. Pure but for the webhook that calls it."""
