"""Gateway API's objects to the mesh's model, and what is to be said of each on its status.

Everything here is read together, since whether a route is in force depends on other objects: `resolve.resolve` is the
whole, from parsed objects to gateways and statuses. Knows neither stores nor writes.
"""
