"""Running the notebooks with papermill."""
