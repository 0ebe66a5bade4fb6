"""HTTP to whatever users name: metric providers, hooks, chats. Knows bounds, not what is sent or why."""
