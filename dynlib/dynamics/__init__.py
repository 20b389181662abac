"""Systems, their trajectories and their exponents."""
