"""Linear operators with structure: Hankel products, and operators fitted to snapshots."""
