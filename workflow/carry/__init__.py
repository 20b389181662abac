"""References carried over a change of code, on proof."""
