"""This leaf's own side: the stations that its bridges learn, and the routes that it advertises for them.

watcher ──▶ stations ──▶ (the leaf judges them beside remote routes) ──▶ exports ──▶ advertiser ──▶ feed
                                                                                        │
                                                                          advertised: the record on disk
"""
