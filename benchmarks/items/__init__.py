"""What is measured, a module each: one function that runs one round of one side, and the rows it fills."""
