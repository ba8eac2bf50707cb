"""What a product says about itself."""
