"""What an operator may set, where it is read from, and the frozen values the rest of the program receives."""
