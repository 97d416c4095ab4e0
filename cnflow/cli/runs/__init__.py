"""Runs as the commands `cnflow top`, `tasks`, `task` and `report` see them: live, in the database, or both."""
