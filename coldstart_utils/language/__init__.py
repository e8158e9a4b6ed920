"""What reads: text to vectors, and encoders trained further."""
