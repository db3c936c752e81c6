"""What is wrong with a set of images, and how its labels are corrected."""
