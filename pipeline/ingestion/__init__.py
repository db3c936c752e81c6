"""From a source to a data set file, with every file accounted for."""
