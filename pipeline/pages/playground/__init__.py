"""The Playground page of the app, one module for each part of it."""
