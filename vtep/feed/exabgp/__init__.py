"""The way to ExaBGP and back: its lines in, our commands out.

Knows processes, sockets and lines. Does not know what a line says about a route. Imports nothing, so that
`vtep relay` starts quickly.
"""
