"""The Lightning shell: wiring of training, nothing that inference needs."""
