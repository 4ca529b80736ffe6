"""Labs of containerlab's making: the same topology files, deployed by containerlab itself or by what a machine has.

    file         a topology file as values; what is not supported is refused by name
    machine      one deployed node: commands, programs and sockets inside
    netns        deploys into namespaces, without images or root       engines   docker, and containerlab
    bundle       what is kept of a lab in which something went wrong

Knows nothing of pytest, and nothing of what runs inside.
"""
