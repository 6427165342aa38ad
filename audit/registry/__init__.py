"""Which events there are: every type with its fields, in one file, and what follows from it."""
