"""Pages of the dashboard: each function takes a request, asks the reader, and renders a template."""
