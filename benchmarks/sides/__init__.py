"""Who is compared: each has the forms in which it is written, and what it prepares of one has `trained` (losses and
parameters, for the check), `seconds_per_update`, and `updates`, how many a measurement has."""
