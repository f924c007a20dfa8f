"""Studies on a SLURM that the tests start; `make test-cluster` runs them."""
