"""How two pictures become one: what is wanted, what is there, and what is ours, row by row.

Generic over what a row is and where it is written. Knows no BGP, no netlink and no kind of row.
"""
