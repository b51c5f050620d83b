"""Networks from elsewhere, as a user would bring them."""
