"""Everything around the network that knows images and files: from a folder to a classifier and back."""
