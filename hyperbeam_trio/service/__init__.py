"""The long-lived tasks that a node owns."""
