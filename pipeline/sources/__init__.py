"""Where images come from: one module per kind of source, and the table that recognises them."""
