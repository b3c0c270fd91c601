"""`debug=resume`: check that a run that is stopped and resumed gives the results of an uninterrupted one."""
