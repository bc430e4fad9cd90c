"""A run from start to end: the stack brought up, shown, judged and taken down."""
