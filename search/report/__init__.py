"""What people read afterwards: the page, its figures, attention."""
