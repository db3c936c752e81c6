"""Training in the app: images, plan, session and export. No Streamlit here."""
