"""From the bytes of an image file to pixels of one geometry, and operations on pixels.

In reading order: `geometry` (the one shape of all images of a data set), `signatures` (what kind of file it is),
`decode` (bytes to pixels), `values` (which value is white), `encode` (pixels to PNG), `statistics` (brightness,
sharpness, thumbnails), `augment` (augmentation in training) and `crops` (patches of photographs for pretraining).
`jpeg`, `jpeg_scans`, `png`, `tiff` and `zero_fill` do for single formats what Pillow does not do.
"""
