"""What `rollout analyze` finds in a cluster's objects, or in files before they get there. Pure."""
