"""Slow twins and released forms, to compare with."""
