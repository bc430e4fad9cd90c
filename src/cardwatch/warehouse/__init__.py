"""The warehouse's SQL at work: its files, its schema. Pure: a session runs the statements."""
