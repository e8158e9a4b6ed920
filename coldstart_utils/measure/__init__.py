"""How good it is: metrics, full ranking, tuning and intervals."""
