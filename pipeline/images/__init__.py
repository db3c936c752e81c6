"""From the bytes of an image file to pixels of one geometry, and operations on pixels.

In reading order: `geometry` (the one shape of all images of a data set), `decode` and `jpeg` (bytes to pixels),
`encode` (pixels to PNG), `statistics` (brightness, sharpness, thumbnails), `augment` (augmentation in training) and
`crops` (patches of photographs for pretraining).
"""
