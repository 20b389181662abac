"""What notebooks record and show."""
