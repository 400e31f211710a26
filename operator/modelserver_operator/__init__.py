"""The operator: one ModelServer object in, a tuned and verified Deployment out."""

__version__ = "0.1.0"
