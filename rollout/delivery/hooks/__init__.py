"""Hooks: HTTP services that a canary asks or tells on its way. Nouns, payloads and schedule are pure; `caller` is the shell."""
