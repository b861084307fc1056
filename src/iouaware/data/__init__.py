"""From files to batches: readers of three formats, the drawn set, augmentation, loading."""
