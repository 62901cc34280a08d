"""What is wanted of daemons: definitions, the files they stand in, and what can be said of them."""
