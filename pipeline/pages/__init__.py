"""The pages of the Streamlit app, each with a function `render`. Only `app.py` imports them."""
