"""What the service does with resources, between the HTTP layer and a store; knows neither of them."""
