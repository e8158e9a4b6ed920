"""What papers compare with: their models in short, on the data, the folds and the tuning of the series."""
