"""Provider of virtual machines, shared by all clouds; each cloud is a `cnflow.interfaces.cloud.Cloud`."""
