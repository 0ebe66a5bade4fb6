"""How resources reach proxies: the delta protocol's state (pure), its bytes, and the server around them.

Knows names, versions and bytes of resources; never what they mean.
"""
