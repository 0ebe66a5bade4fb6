"""Where numbers come from, one module per kind of source. A source answers checks; it judges nothing."""
