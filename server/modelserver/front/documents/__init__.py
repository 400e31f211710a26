"""What both fronts answer: documents of each API, and what each API refuses."""
