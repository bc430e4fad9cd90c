"""What the warehouse holds, to look at: a Streamlit application."""
