"""What `bench.loss` measures with: the application on the cluster, its disturbances, and its proxies' memory."""
