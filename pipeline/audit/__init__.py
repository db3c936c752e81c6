"""Checks of a set of images for problems, and corrections of its labels."""
