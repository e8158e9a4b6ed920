"""What learns in closed form: ridge, ALS, EASE, kernels and the bridge, priors and posteriors, quotas."""
