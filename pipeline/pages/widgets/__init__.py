"""What several pages of the app draw."""
