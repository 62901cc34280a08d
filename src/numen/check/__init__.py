"""Check: is that running process a proper daemon? Facts are read once, and each rule judges them.

`facts` is what is known of a process, `reading` reads it, `rules` judge it, and `audit` puts these together. Nothing
here signals, traces or changes anything.
"""
