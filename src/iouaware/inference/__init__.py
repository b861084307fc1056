"""From a picture to detections; fusion, suppression and thresholds need no torch."""
