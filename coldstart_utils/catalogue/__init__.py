"""What is known: tables, their dirt, where they come from, texts and features of items and users, protocols."""
