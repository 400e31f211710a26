"""What scales an object, as it is: the load of its pods, its scaler's report, and scalers of others."""
