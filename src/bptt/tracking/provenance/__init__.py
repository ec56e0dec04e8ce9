"""What a number was made with: digest, environment, work tree."""
