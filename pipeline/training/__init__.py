"""From a data set to a run folder with a trained classifier."""
