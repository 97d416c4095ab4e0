"""Processes that speak HTTP beside the server: started, watched, started again, and drained."""
