"""How a canary gets its traffic, one module per strategy. Pure; knows neither routes nor checks."""
