def hello():
    return "of a namespace package"
