"""Sends the user's own modules to workers, as source; the worker's side is `cnflow.tasks.own_modules`.

::

    pickling of a function or of arguments ──Rules──> names of own modules in it
                                                           │ registry: source as it was loaded, and what it imports
                                                           v
    record of the function <──── ids of ──── records of all these modules: each is sent once to a node and to a worker

    before each call: are the modules of the function what they were?  ──no──> the function is pickled again
"""
