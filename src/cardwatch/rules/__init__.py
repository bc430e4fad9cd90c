"""Rules as data: the file that people write, and what is published of it."""
