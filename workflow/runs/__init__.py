"""From the declarations in experiments.yml to executed notebooks and references."""
