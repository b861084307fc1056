"""From a trained model to a file that runs without torch, with the proof that it is the same."""
