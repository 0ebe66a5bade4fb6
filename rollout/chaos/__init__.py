"""An experiment's life: what is broken, for how long, what must stay true, and what it showed."""
