"""The page that shows a data set: its classes and splits, its images, what is wrong with them, and corrections."""
