"""What trains, keeps and shares out models."""
