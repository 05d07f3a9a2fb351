"""What people read: made from results and events."""
