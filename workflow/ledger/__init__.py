"""Claims of the papers, judged by results."""
