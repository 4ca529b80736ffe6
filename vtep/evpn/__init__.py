"""EVPN routes as RFC 7432, 8365, 9135 and 9136 have them, and what each peer advertises. Pure, and for any feed."""
