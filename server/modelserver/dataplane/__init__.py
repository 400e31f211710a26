"""The only door between the fronts and the models."""
