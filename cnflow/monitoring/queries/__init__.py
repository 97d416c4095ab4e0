"""Questions to the database of monitoring, for the dashboard, the commands and the reports."""
