"""How a first layer of edge detectors is learned without labels, scored, and made visible in deeper layers."""
