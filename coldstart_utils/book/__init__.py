"""What makes the series: records, figures, runs, pages and the command `coldstart`."""
