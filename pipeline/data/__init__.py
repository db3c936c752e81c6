"""The data set: one HDF5 file, with its splits and groups."""
