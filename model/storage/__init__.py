"""Networks and training runs in files.

`atomic` makes a file appear complete or not at all, `hdf5` opens untrusted HDF5 files safely, and `checkpoint` writes
and reads networks and training runs, with every shape checked. Nothing is ever unpickled.
"""
