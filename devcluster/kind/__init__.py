"""The cluster with a node: kind's configuration, and what is done by kind."""
