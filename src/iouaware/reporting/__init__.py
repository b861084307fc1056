"""The page that explains a run, and its model card."""
