"""Names of other systems for cnflow, so that their scripts run unchanged."""
