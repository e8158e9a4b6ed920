"""What if it were new: pure functions, their pictures and widgets, the page."""
