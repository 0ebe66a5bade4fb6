"""Looking into proxies: what they have, what the control plane sent them, how much they log."""
