"""Edge detectors: learned without labels, scored, and shown in deeper layers. Here, an example is an image.

In reading order: `first_layer` (learn W1 from patches of photographs), `scores` and `gabor` (how much a filter is an
edge detector), `upper_layers` (layers 2 and 3 on top of it), `stimuli` (what a unit of a deeper layer responds to).
Images are arrays, one column or row each; none of these files opens an image file.
"""
