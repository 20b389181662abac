"""Networks that advance a state by one time step, and how they are trained."""
