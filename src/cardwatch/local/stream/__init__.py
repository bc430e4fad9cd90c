"""The stream as the programs of the one-machine stack read it."""
