"""One collection on many machines: bundles of its parts, built together and searched as one, on Ray.

``split`` writes the parts, ``shard`` answers for one of them, ``coordinator`` asks all and merges; none of
these knows Ray. ``on_ray`` and what begins with it start them there.
"""
