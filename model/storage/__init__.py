"""Networks and training states on disk: written atomically, read with every shape checked, never unpickled."""
