"""Matching, losses, optimiser and the training loop."""
