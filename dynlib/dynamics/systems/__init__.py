"""The systems: one file each, with its equations, its Jacobian and what is published of it."""
