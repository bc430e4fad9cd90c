"""The composition root: one module per deployable says which adapter serves which port."""
