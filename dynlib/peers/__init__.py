"""Slow, plain versions of our code and released forms, to compare with."""
