"""What may be done: Cedar policies, their schema, and the only code that speaks to Cedar."""
