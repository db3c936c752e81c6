"""The data set: one HDF5 file, its splits, and which images belong together."""
