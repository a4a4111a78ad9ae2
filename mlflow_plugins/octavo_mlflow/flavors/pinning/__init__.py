"""`octavo pin`: a network of `brought` is taken from MLflow's registry once, as one version's file."""
