"""What is wrong on the sending side, and how to mend it: looked at, never changed."""
