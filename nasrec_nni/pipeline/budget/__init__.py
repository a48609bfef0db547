"""A run that keeps to a span of time: how it is divided, what is cut, what is written down."""
