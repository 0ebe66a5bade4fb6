"""Real programs beside this one: started from argument lists, bounded in time and output, ended with all they started."""
