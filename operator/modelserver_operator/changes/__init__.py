"""What to do: the plan that makes the children what they should be, and its execution."""
