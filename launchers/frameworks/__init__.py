"""What each worker's environment is, one file a framework."""
