"""From executed notebooks to the book."""
