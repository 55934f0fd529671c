"""Networks that predict the noise; one U-Net so far."""
