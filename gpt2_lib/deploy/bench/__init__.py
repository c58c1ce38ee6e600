"""All targets measured side by side: each is made (`targets`), measured (`command`) and reported (`report`)."""
