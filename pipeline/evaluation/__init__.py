"""How accurate a classifier is, and how far its probabilities can be trusted."""
