"""Wire: the protocol in which programs ask numen's supervisor, Varlink (varlink.org): frames, interfaces, a client.

Nothing here knows what is asked for, nor who answers.
"""
