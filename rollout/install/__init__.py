"""What `rollout install` applies: the rendered chart."""
