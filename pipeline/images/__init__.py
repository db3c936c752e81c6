"""From the bytes of an image file to pixels of one geometry, and what can be done with pixels."""
