"""Alerts: what people are told of a canary in their chats. `alert`, `payloads` and `routes` are pure; `sender` is the shell."""
