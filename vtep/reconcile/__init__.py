"""Makes two tables equal, row by row: what is wanted and what is there, by way of what is ours.

It works for any kind of row and any target. It does not know BGP, netlink, or any one kind.

    contract      what a kind of row, a target and a ledger are       read this first
    verdict       what to do about one row: seven verdicts
    engine        one pass: look, judge, write, report
    bulk          the same for many plain rows at once
    dependencies  which rows need which rows of other kinds
    writer        claims, sends, and notes what became of each change
    knowledge     what lasts from pass to pass
    claims        which rows are ours
    retry         when to try a refused change again
    report        what a pass found, and the rows that are not as wanted
    compare       what differs from what is wanted, without writing
    actor         when to make a pass
"""
