"""Training state in memory."""
