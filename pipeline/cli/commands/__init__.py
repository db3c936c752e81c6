"""The commands: each has a function that adds its flags and one that runs it. Heavy imports live inside them."""
