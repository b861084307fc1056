"""Numbers that say how good a detector is, and how its alpha is chosen."""
