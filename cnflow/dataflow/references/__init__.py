"""Data by reference, in the driver: values of `cnflow.put`, and results that stay on the nodes that made them."""
