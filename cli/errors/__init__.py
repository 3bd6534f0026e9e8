"""What is said of each error: one file for each thing that it is about, each with a table by the class's name."""
