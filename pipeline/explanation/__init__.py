"""What a classifier looks at, as figures, maps, words and a report."""
