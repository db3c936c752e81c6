"""The pages of the Streamlit app; one `render()` each. Imported by `app.py` only."""
