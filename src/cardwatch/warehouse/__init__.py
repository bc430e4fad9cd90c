"""The warehouse's SQL at work: files, schema, upkeep. Pure: a session runs the statements."""
