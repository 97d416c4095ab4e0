def late():
    return "imported in a task"
