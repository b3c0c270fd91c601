"""From raw samples to the inputs of a model: encoding, features, imputation and scaling, kept as plain data."""
