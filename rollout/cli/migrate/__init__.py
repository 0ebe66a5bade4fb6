"""`rollout migrate check`: what moving a cluster from Flagger to this program would change."""
