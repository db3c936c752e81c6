"""File names, folder walks, and files that appear complete or not at all."""
