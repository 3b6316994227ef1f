"""What the app does besides showing: loading, uploads and jobs. Nothing here imports streamlit."""
