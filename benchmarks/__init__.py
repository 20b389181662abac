"""Speed, as ratios against a peer measured side by side: ``make bench``."""
