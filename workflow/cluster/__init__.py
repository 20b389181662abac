"""Past one machine: Snakemake schedules, and every job calls the very same runner."""
