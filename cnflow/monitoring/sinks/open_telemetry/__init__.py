"""Sends the run as a trace by OpenTelemetry: pure `ids` and `spans`, `client` with the SDK, and `sink`."""
