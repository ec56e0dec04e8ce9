"""Who is compared: each side has `trained` (losses and parameters, for the check) and `seconds_per_update`."""
