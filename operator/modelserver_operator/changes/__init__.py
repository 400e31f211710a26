"""What to do: the plan that turns the observed children into the desired ones, and its execution."""
