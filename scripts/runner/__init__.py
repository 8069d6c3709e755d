"""What `make run` does: start everything on this machine, run each book once, show the result, stop cleanly."""
