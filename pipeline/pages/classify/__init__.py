"""The page that classifies images: where they come from, a table of many, and one in detail."""
