"""What the daemon's tests share."""
