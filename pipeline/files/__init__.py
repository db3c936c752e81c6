"""File names, folder walks, files that appear complete or not at all, and stored results of long jobs."""
