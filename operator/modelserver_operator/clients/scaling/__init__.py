"""What the cluster decides about scaling: optional APIs, scalers of others, the load of the pods."""
