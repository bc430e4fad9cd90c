"""Processes of a run: started, watched, logged, stopped, and none left behind."""
