"""Data sets examined before training: what is wrong, where, and what to do about it."""
