"""Where routes come from and where local ones go: one folder for each BGP speaker."""
