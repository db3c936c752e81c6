"""Everything around the network that knows pictures and files: from a folder to a classifier and back."""
