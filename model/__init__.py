"""The L-layer fully connected network, in NumPy. Knows arrays; knows nothing of images, files or people."""
