"""The L-layer fully connected network, in NumPy. Knows arrays; knows nothing of pictures, files or people."""
