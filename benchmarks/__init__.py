"""The same work on cnflow, on its peers and on the floor, side by side in one run. `make bench` starts it.

`systems` says how each is used, `work` what is measured, `child` runs one in a process of its own, `runner` starts
those and collects their figures, `table`, `aims` and `plot` show them. `floor` is the bare loop that nothing on this
topology is faster than; `scale` simulates many managers.
"""
