"""A small EVPN network inside network namespaces, for system tests and for the demo.

    topology    the standard two-sided network: a leaf, its remotes, their stations
    overlay     bridges, VXLAN devices and their rows          probe    ping, and frames from a chosen MAC
    speaker     a BGP speaker of our own, in this process      wire     BGP messages as octets
    peers       real ExaBGP, FRR and GoBGP                     recorder an ExaBGP child that writes lines to a file
    fabric      our leaf beside real FRR VTEPs             questions  what is asked for across the underlay
    clab        the labs of interop/containerlab, by namespaces, docker or containerlab
    namespaces  nodes, the wires between them, programs inside wait     until something is true, or say what was seen

Works as root, and as any user inside `unshare -Urnm -pf --kill-child --mount-proc`. What a machine lacks is told by
`Missing`. Knows nothing of pytest, except for `fixtures`.
"""
