"""Runs on several machines: Snakemake schedules them, and every job calls the same runner."""
